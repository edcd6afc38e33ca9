#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "base/large_pages.h"
#include "kernels/low_bit/low_bit.h"
#include "kernels/low_bit/planes.h"

namespace pare {
namespace {

constexpr int kStrip = LowBitShape::kStrip, kUnit = LowBitShape::kUnit;

uint32_t word_at(const uint8_t* bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, 4);
  return word;
}

void put_word(uint8_t* bytes, uint32_t word) { std::memcpy(bytes, &word, 4); }

// One output's 64 levels into the planes of a unit, four at a time: a byte of a word never spills into the next.
void put_levels(LowBitPlanes planes, const uint8_t* levels, int lane, uint8_t* unit) {
  const PlaneLayout layout = plane_layout(planes);
  uint32_t words[16];
  for (int i = 0; i < 16; ++i) words[i] = word_at(levels + 4 * i);
  if (layout.bytes >= 0)
    for (int i = 0; i < 16; ++i) put_word(unit + layout.bytes + i * 64 + lane * 4, words[i]);
  if (layout.nibbles >= 0)
    for (int i = 0; i < 8; ++i) put_word(unit + layout.nibbles + i * 64 + lane * 4, (words[i] & 0x0f0f0f0fu) | (words[i + 8] & 0x0f0f0f0fu) << 4);
  if (layout.pairs >= 0)
    for (int i = 0; i < 4; ++i) {
      uint32_t word = 0;
      for (int q = 0; q < 4; ++q) word |= (words[i + 4 * q] >> layout.pair_shift & 0x03030303u) << 2 * q;
      put_word(unit + layout.pairs + i * 64 + lane * 4, word);
    }
  if (layout.bits >= 0)
    for (int i = 0; i < 16; ++i) {
      const uint32_t bits = words[i] >> layout.bit_shift & 0x01010101u;
      unit[layout.bits + i * 8 + lane / 2] |= uint8_t(((bits | bits >> 7 | bits >> 14 | bits >> 21) & 15) << lane % 2 * 4);
    }
}

void put_half(uint8_t* at, float value) {
  const Half half = to_half(value);
  std::memcpy(at, &half.bits, 2);
}

void put_row(const LowBitShape& shape, const LowBitRow& row, int lane, uint8_t* strip) {
  const int per_unit = kUnit / shape.group;
  const size_t scale_bytes = size_t(per_unit) * kStrip * 2;
  for (int64_t g = 0; g < int64_t(row.scales.size()); ++g) {
    uint8_t* unit = strip + size_t(g / per_unit) * shape.unit_bytes();
    const size_t at = size_t(g % per_unit * kStrip + lane) * 2;
    put_half(unit + at, row.scales[size_t(g)]);
    if (shape.offsets) put_half(unit + scale_bytes + at, row.offsets[size_t(g)]);
  }
  for (int64_t u = 0; u < shape.units(); ++u) {
    uint8_t* planes = strip + size_t(u) * shape.unit_bytes() + (shape.offsets ? 2 : 1) * scale_bytes;
    put_levels(shape.planes, row.levels.data() + u * kUnit, lane, planes);
  }
}

}  // namespace

int low_bit_bits(LowBitPlanes planes) { return plane_bits(planes); }

size_t LowBitShape::plane_bytes() const { return pare::plane_bytes(planes); }

PackedLowBit pack_low_bit(const LowBitShape& shape, const std::function<void(int64_t, LowBitRow&)>& row,
                          const std::function<void(int64_t, const std::function<void(int64_t, int64_t)>&)>& parallel) {
  PackedLowBit packed;
  packed.shape = shape;
  packed.stream = large_page_memory(size_t(shape.strips()) * packed.strip_bytes());
  parallel(shape.strips(), [&](int64_t first, int64_t last) {
    LowBitRow values;
    values.levels.resize(size_t(shape.units() * kUnit));  // zeros behind the inputs, whose scales are zeros too
    values.scales.resize(size_t(shape.inputs / shape.group));
    values.offsets.resize(values.scales.size());
    for (int64_t o = first * kStrip; o < std::min(last * kStrip, shape.outputs); ++o) {
      row(o, values);
      put_row(shape, values, int(o % kStrip), packed.strip(o / kStrip));
    }
  });
  return packed;
}

}  // namespace pare
