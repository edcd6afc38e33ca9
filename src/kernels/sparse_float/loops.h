// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/sparse_float/maps.h"
#include "kernels/sparse_float/sparse_float.h"
#include "kernels/transpose_square.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pare {
namespace {

// A register of floats. Results of a tile stay in registers: 32, 16 and 16 of them, some for sources and weights.
#if defined(__AVX512F__)
constexpr int kVector = 16, kVectors = 16, kVectors4 = 6;
#elif defined(__AVX__)
constexpr int kVector = 8, kVectors = 6, kVectors4 = 1;
#else
constexpr int kVector = 4, kVectors = 3, kVectors4 = 1;
#endif
constexpr int kParts = int(kSparseLanes) / kVector;
typedef float Floats __attribute__((vector_size(kVector * 4), aligned(4), may_alias));
typedef int32_t Lanes __attribute__((vector_size(kVector * 4)));

inline Floats& vector_at(float* x) { return *reinterpret_cast<Floats*>(x); }
inline const Floats& vector_at(const float* x) { return *reinterpret_cast<const Floats*>(x); }

// What one tile needs: the places of its first vector.
struct Tile {
  const SparseFloatJob* job;
  const float* x;
  int64_t place, residual;  // in y and in the residual
  int64_t block;
  int64_t first, last;  // groups
};

inline Floats clipped(Floats v, Floats low, Floats high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

// The sums of a tile of one group: [outputs][vectors][parts of a vector].
template <int kHeight, int kRows, int kColumns>
struct Sums {
  Floats at[kHeight][kRows * kColumns][kParts];

  // visit(sum, output, floats from the first vector's place) where rows lie `row` floats apart.
  template <class Visit>
  void each(int64_t row, const Visit& visit) {
#pragma GCC unroll 4
    for (int h = 0; h < kHeight; ++h)
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
          for (int p = 0; p < kParts; ++p) visit(at[h][r * kColumns + c][p], h, r * row + c * kSparseLanes + p * kVector);
  }
};

// kAhead: asks for what a coming entry reads. Which channel that is no hardware foresees.
template <int kHeight, int kRows, int kColumns, int kStep, bool kAhead>
void run_tile(const Tile& tile) {
  constexpr int kTile = kRows * kColumns;
  // Two products a cycle of four cycles each: fewer than eight sums would wait for one another.
  constexpr int kSums = kHeight * kTile * kParts >= 6 ? 1 : kHeight * kTile * kParts >= 3 ? 2 : 4;
  const SparseFloatJob& job = *tile.job;
  const SparseFloatWeights& w = *job.weights;
  const int64_t* bounds = w.first.data() + tile.block * w.groups();
  const bool begins = tile.block == 0, ends = tile.block + 1 == w.blocks;
  const float* rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = tile.x + r * job.x_row;
  for (int64_t g = tile.first; g < tile.last; ++g) {
    float* y = job.y + w.channels[size_t(g)] * job.y_channel + tile.place;
    Sums<kHeight, kRows, kColumns> sums[kSums];
    const float* bias = w.bias.data() + g * kHeight;
    if (begins) sums[0].each(0, [&](Floats& sum, int h, int64_t) { sum = bias[h] - Floats{}; });
    else sums[0].each(job.y_row, [&](Floats& sum, int h, int64_t at) { sum = vector_at(y + h * job.y_channel + at); });
#pragma GCC unroll 4
    for (int s = 1; s < kSums; ++s) sums[s].each(0, [](Floats& sum, int, int64_t) { sum = Floats{}; });
    const int32_t* offset = w.offsets.data() + bounds[g];
    const float* weight = w.weights.data() + bounds[g] * kHeight;
    const int64_t count = bounds[g + 1] - bounds[g];
    const auto add = [&](int s, int64_t i) {
      const int64_t at = offset[i];
      if constexpr (kAhead) __builtin_prefetch(rows[0] + offset[i + kSparseFloatAhead]);
      Floats values[kHeight];
#pragma GCC unroll 4
      for (int h = 0; h < kHeight; ++h) values[h] = weight[i * kHeight + h] - Floats{};
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c)
#pragma GCC unroll 4
          for (int p = 0; p < kParts; ++p) {
            const Floats x = vector_at(rows[r] + at + c * kStep * kSparseLanes + p * kVector);
#pragma GCC unroll 4
            for (int h = 0; h < kHeight; ++h) sums[s].at[h][r * kColumns + c][p] += values[h] * x;
          }
    };
    int64_t i = 0;
    for (; i + kSums <= count; i += kSums)
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) add(s, i + s);
    if constexpr (kSums > 1)
      for (; i < count; ++i) add(0, i);
#pragma GCC unroll 4
    for (int s = 1; s < kSums; ++s)
#pragma GCC unroll 4
      for (int h = 0; h < kHeight; ++h)
#pragma GCC unroll 16
        for (int v = 0; v < kTile * kParts; ++v) sums[0].at[h][v / kParts][v % kParts] += sums[s].at[h][v / kParts][v % kParts];
    if (ends && job.residual != nullptr) {
      const float* residual = job.residual + w.channels[size_t(g)] * job.residual_channel + tile.residual;
      sums[0].each(job.residual_row, [&](Floats& sum, int h, int64_t at) { sum += vector_at(residual + h * job.residual_channel + at); });
    }
    if (ends) {
      const Floats low = job.low - Floats{}, high = job.high - Floats{};
      sums[0].each(0, [&](Floats& sum, int, int64_t) { sum = clipped(sum, low, high); });
    }
    sums[0].each(job.y_row, [&](Floats& sum, int h, int64_t at) { vector_at(y + h * job.y_channel + at) = sum; });
  }
}

using TileLoop = void (*)(const Tile&);

// The loop of a tile, by its columns; null where it would not stay in registers.
template <int kHeight, int kRows, int kStep, bool kAhead, int... kColumns>
constexpr auto loops_of(std::integer_sequence<int, kColumns...>) {
  constexpr int kMost = kHeight == 1 ? kVectors : kVectors4;
  return std::array<TileLoop, sizeof...(kColumns)>{[] {
    if constexpr (kRows * (kColumns + 1) <= kMost) return &run_tile<kHeight, kRows, kColumns + 1, kStep, kAhead>;
    else return TileLoop(nullptr);
  }()...};
}

template <int kHeight, int kStep, bool kAhead>
TileLoop loop_of(int rows, int columns) {
  using Columns = std::make_integer_sequence<int, 16>;
  static constexpr std::array<TileLoop, 16> loops[] = {loops_of<kHeight, 1, kStep, kAhead>(Columns{}), loops_of<kHeight, 2, kStep, kAhead>(Columns{}),
                                                       loops_of<kHeight, 4, kStep, kAhead>(Columns{})};
  return loops[rows / 2][size_t(columns - 1)];
}

// Four outputs a load leave room for one that asks ahead.
template <int kStep>
TileLoop loop_of(const SparseFloatJob& job, int rows, int columns) {
  if (job.weights->height > 1) return loop_of<4, kStep, true>(rows, columns);
  return job.ahead ? loop_of<1, kStep, true>(rows, columns) : loop_of<1, kStep, false>(rows, columns);
}

// Tiles of alike width that cover the columns, one below the other: what the taps of a tile reach is still in the L1 cache
// for the next.
void run_layer(const SparseFloatJob& job, int64_t first, int64_t last) {
  const int most = job.weights->height == 1 ? kVectors : kVectors4;
  int64_t tile_rows = std::min<int64_t>(job.tile_rows, job.rows);
  tile_rows = tile_rows >= 4 && most >= 4 ? 4 : tile_rows >= 2 && most >= 2 ? 2 : 1;
  const int64_t wide = std::clamp<int64_t>(job.tile_columns, 1, most / tile_rows);
  const int64_t parts = (job.columns + wide - 1) / wide;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t begin = job.columns * part / parts, end = job.columns * (part + 1) / parts;
    const int columns = int(end - begin);
    int64_t height = tile_rows;
    for (int64_t row = 0; row < job.rows; row += height) {
      while (height > job.rows - row) height /= 2;
      const int rows = int(height);
      const TileLoop loop = job.x_step == 1 ? loop_of<1>(job, rows, columns) : loop_of<2>(job, rows, columns);
      Tile tile{&job, job.x + row * job.x_row + begin * job.x_step * kSparseLanes, row * job.y_row + begin * kSparseLanes, row * job.residual_row + begin * kSparseLanes, 0, first, last};
      for (tile.block = 0; tile.block < job.weights->blocks; ++tile.block) loop(tile);
    }
  }
}

// Where the rest of a stream ends: fewer than a register.
inline float dot_entries(const float* x, const int32_t* offset, const float* weight, int64_t count) {
  float sums[4] = {};  // a sum waits four cycles for the one before
  int64_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (int64_t s = 0; s < 4; ++s) sums[s] += weight[i + s] * x[offset[i + s]];
  for (; i < count; ++i) sums[0] += weight[i] * x[offset[i]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

void dot_groups(const SparseFloatJob& job, int64_t first, int64_t last) {
  const SparseFloatWeights& w = *job.weights;
  for (int64_t g = first; g < last; ++g) {
    const int64_t begin = w.first[size_t(g)], count = w.first[size_t(g) + 1] - begin;
    const float sum = dot_entries(job.x, w.offsets.data() + begin, w.weights.data() + begin, count) + w.bias[size_t(g)];
    job.y[w.channels[size_t(g)]] = std::clamp(sum, job.low, job.high);
  }
}

void transpose_floats(const float* x, int64_t rows, int64_t columns, int64_t pitch, float* y, int64_t out_pitch) {
  for (int64_t r = 0; r < rows; r += kVector)
    for (int64_t c = 0; c < columns; c += kVector) {
      const float* from = x + r * pitch + c;
      float* to = y + c * out_pitch + r;
      if (r + kVector > rows || c + kVector > columns) {
        for (int64_t j = 0; j < std::min<int64_t>(kVector, columns - c); ++j)
          for (int64_t i = 0; i < std::min<int64_t>(kVector, rows - r); ++i) to[j * out_pitch + i] = from[i * pitch + j];
        continue;
      }
      Floats block[kVector];
#pragma GCC unroll 16
      for (int i = 0; i < kVector; ++i) block[i] = vector_at(from + i * pitch);
      transpose_square(block);
#pragma GCC unroll 16
      for (int i = 0; i < kVector; ++i) vector_at(to + i * out_pitch) = block[i];
    }
}

}  // namespace
}  // namespace pare
