#include "kernels/sparse_int8/planes.h"

#include <algorithm>
#include <cstdlib>

namespace pare {
namespace {

constexpr std::size_t kPlanesBytes =
    128 * 1024;  // a part of the L2 cache; bands of few rows would transpose many twice

struct Entry {
  std::int32_t offset;
  std::int8_t weight;
};

using Pair = std::pair<Entry, Entry>;

// Weights in pairs whose products add up to no more than 16 bits hold: one of each sign as long as there are both, then
// large ones with small ones, or alone.
std::vector<Pair> paired(std::vector<Entry> entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.weight < b.weight; });
  std::vector<Pair> pairs;
  auto low = entries.begin(), high = entries.end();
  while (high - low > 1 && low->weight < 0 && (high - 1)->weight > 0) pairs.push_back({*low++, *--high});
  if (low < high && low->weight < 0) std::reverse(low, high);  // what is left has one sign: the largest last
  while (low < high) {
    const Entry large = *--high;
    const bool fits = low < high && std::abs(large.weight + low->weight) <= 128;
    pairs.push_back({large, fits ? *low++ : Entry{large.offset, 0}});
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.first.offset < b.first.offset; });
  return pairs;
}

}  // namespace

SparseInt8Planes::SparseInt8Planes(const ConvInt8Shape& shape, int band_rows) {
  for (int kh = 0; kh < shape.kernel_h; ++kh)
    for (int kw = 0; kw < shape.kernel_w; ++kw) {
      const Phase phase{kh * shape.dilation_h % shape.stride_h, kw * shape.dilation_w % shape.stride_w};
      if (phase_of(phase.row, phase.col) < 0) phases.push_back(phase);
    }
  channels = (shape.in_c + 15) / 16 * 16;
  width = shape.out_w() + (shape.kernel_w - 1) * shape.dilation_w / shape.stride_w;
  rows = band_rows + (shape.kernel_h - 1) * shape.dilation_h / shape.stride_h;
  // Planes are filled and read 32 positions at a time. An even number of cache lines apart they would share few sets.
  const auto whole = [](int positions) {
    return (positions + kSparseInt8Positions - 1) / kSparseInt8Positions * kSparseInt8Positions;
  };
  const int all = rows * width, outputs = (band_rows - 1) * width + shape.out_w();
  pitch = ((std::max(whole(all), whole(outputs) + all - outputs) + 63) / 64 | 1) * 64;
}

int SparseInt8Planes::phase_of(int row, int col) const {
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (phases[i].row == row && phases[i].col == col) return static_cast<int>(i);
  return -1;
}

int sparse_int8_plane_rows(const ConvInt8Shape& shape) {
  int rows = shape.out_h();
  while (rows > 1 && SparseInt8Planes(shape, rows).bytes() > kPlanesBytes &&
         rows * shape.out_w() > 2 * kSparseInt8Positions)
    rows = (rows + 1) / 2;
  return rows;
}

void pack_sparse_int8_planes(const ConvInt8Weights& weights, PackedSparseInt8& packed) {
  const ConvInt8Shape& shape = packed.shape;
  const SparseInt8Planes planes(shape, packed.band_rows);
  packed.scratch_bytes = (planes.bytes() + 63) / 64 * 64;
  packed.bias.assign(std::size_t(shape.out_c) * sizeof(std::int32_t) / sizeof(Int8Line) + 1, Int8Line{});
  auto* bias = reinterpret_cast<std::int32_t*>(packed.bias.front().bytes);
  const std::int8_t* weight = weights.weights;
  for (int o = 0; o < shape.out_c; ++o) {
    std::vector<Entry> entries;
    std::int64_t sum = 0;
    for (int c = 0; c < shape.in_c; ++c)
      for (int kh = 0; kh < shape.kernel_h; ++kh)
        for (int kw = 0; kw < shape.kernel_w; ++kw, ++weight) {
          if (*weight == 0) continue;
          const int row = kh * shape.dilation_h, col = kw * shape.dilation_w;
          const int phase = planes.phase_of(row % shape.stride_h, col % shape.stride_w);
          const std::ptrdiff_t offset = (std::ptrdiff_t{phase} * planes.channels + c) * planes.pitch +
                                        row / shape.stride_h * planes.width + col / shape.stride_w;
          entries.push_back({static_cast<std::int32_t>(offset), *weight});
          sum += *weight;
        }
    bias[o] = static_cast<std::int32_t>((weights.bias ? weights.bias[o] : 0) - packed.input_zero * sum);
    packed.quad_begins.push_back(packed.quads.size());
    std::vector<Pair> pairs = paired(std::move(entries));
    if (pairs.size() % 2 != 0) pairs.push_back({});
    for (std::size_t i = 0; i < pairs.size(); i += 2) {
      const auto& [a, b] = pairs[i];
      const auto& [c, d] = pairs[i + 1];
      packed.quads.push_back({{a.offset, b.offset, c.offset, d.offset}, {a.weight, b.weight, c.weight, d.weight}});
    }
  }
  packed.quad_begins.push_back(packed.quads.size());
  packed.quads.resize(packed.quads.size() + kSparseInt8Ahead);
}

}  // namespace pare
