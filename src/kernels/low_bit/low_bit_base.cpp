#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float16.h"
#include "kernels/low_bit/low_bit.h"
#include "kernels/low_bit/planes.h"

namespace pare {
namespace {

constexpr int kStrip = LowBitShape::kStrip, kUnit = LowBitShape::kUnit;

bool supported() { return true; }

float half_at(const uint8_t* bytes, int i) {
  Half half;
  std::memcpy(&half.bits, bytes + 2 * i, 2);
  return to_float(half);
}

int level_at(const LowBitShape& shape, const uint8_t* planes, int i, int b) {
  const PlaneLayout layout = plane_layout(shape.planes);
  if (layout.bytes >= 0) return planes[layout.bytes + i * 64 + b];
  int level = 0;
  if (layout.nibbles >= 0) level |= planes[layout.nibbles + i % 8 * 64 + b] >> i / 8 * 4 & 15;
  if (layout.pairs >= 0) level |= (planes[layout.pairs + i % 4 * 64 + b] >> i / 4 * 2 & 3) << layout.pair_shift;
  if (layout.bits >= 0) level |= (planes[layout.bits + i * 8 + b / 8] >> b % 8 & 1) << layout.bit_shift;
  return shape.table ? shape.levels[level] : level;
}

void quantize(const LowBitShape& shape, const float* x, int8_t* values, LowBitGroup* groups) {
  for (int64_t first = 0; first < shape.units() * kUnit; first += 32) {
    const int64_t count = std::clamp<int64_t>(shape.inputs - first, 0, 32);
    float most = 0;
    for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(x[first + i]));
    const float scale = most / 127, inverse = most > 0 ? 127 / most : 0;
    for (int64_t begin = first; begin < first + 32; begin += shape.group) {
      int sum = 0;
      for (int64_t i = begin; i < begin + shape.group; ++i) {
        values[i] = int8_t(i - first < count ? std::nearbyint(x[i] * inverse) : 0);
        sum += values[i];
      }
      groups[begin / shape.group] = {scale, scale * float(sum)};
    }
  }
}

void run_strip(const PackedLowBit& packed, const LowBitArgs& args, int64_t strip, int64_t row) {
  const LowBitShape& shape = packed.shape;
  const int per_unit = kUnit / shape.group, vectors = shape.group / 4;
  const size_t scale_bytes = size_t(per_unit) * kStrip * 2;
  const int8_t* x = args.x.values + row * shape.units() * kUnit;
  const LowBitGroup* groups = args.x.groups + row * shape.groups();
  float sums[kStrip] = {};
  for (int64_t u = 0; u < shape.units(); ++u) {
    const uint8_t* unit = packed.strip(strip) + size_t(u) * shape.unit_bytes();
    const uint8_t* planes = unit + (shape.offsets ? 2 : 1) * scale_bytes;
    for (int g = 0; g < per_unit; ++g) {
      const LowBitGroup& group = groups[u * per_unit + g];
      for (int lane = 0; lane < kStrip; ++lane) {
        int sum = 0;
        for (int i = g * vectors; i < (g + 1) * vectors; ++i)
          for (int k = 0; k < 4; ++k) sum += level_at(shape, planes, i, lane * 4 + k) * x[u * kUnit + 4 * i + k];
        sums[lane] += (float(sum) * group.scale - float(shape.zero) * group.sum) * half_at(unit, g * kStrip + lane);
        if (shape.offsets) sums[lane] -= group.sum * half_at(unit + scale_bytes, g * kStrip + lane);
      }
    }
  }
  for (int64_t lane = 0; lane < std::min<int64_t>(kStrip, shape.outputs - strip * kStrip); ++lane) {
    const int64_t o = strip * kStrip + lane;
    args.y[row * shape.outputs + o] = sums[lane] + (args.bias ? args.bias[o] : 0) + (args.residual ? args.residual[row * shape.outputs + o] : 0);
  }
}

void run(const PackedLowBit& packed, const LowBitArgs& args, int thread, int threads) {
  const int64_t strips = packed.shape.strips();
  for (int64_t strip = strips * thread / threads; strip < strips * (thread + 1) / threads; ++strip)
    for (int64_t row = 0; row < args.rows; ++row) run_strip(packed, args, strip, row);
}

}  // namespace

extern const LowBitKernel low_bit_base;
const LowBitKernel low_bit_base{"low_bit_scalar", "scalar", supported, quantize, run};

}  // namespace pare
