// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/sparse_float/sparse_float.h"

#if defined(__AVX512F__)
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

inline Floats& vector_at(float* x) { return *reinterpret_cast<Floats*>(x); }
inline const Floats& vector_at(const float* x) { return *reinterpret_cast<const Floats*>(x); }

// What one tile needs: the places of its first vector.
struct Tile {
  const SparseFloatJob* job;
  const float* x;
  int64_t place;      // in y and residual
  int64_t block;
  int64_t first, last;  // groups
  bool ends_row;
};

inline Floats clipped(Floats v, float low, float high) {
  const Floats least = low - Floats{}, most = high - Floats{};
  v = v < least ? least : v;
  return v > most ? most : v;
}

template <int kHeight, int kRows, int kColumns, int kStep>
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
  const bool cut = tile.ends_row && job.tail < kSparseLanes;
  for (int64_t g = tile.first; g < tile.last; ++g) {
    Floats sums[kSums][kHeight][kTile][kParts] = {};
    const int32_t* offset = w.offsets.data() + bounds[g];
    const float* weight = w.weights.data() + bounds[g] * kHeight;
    const int64_t count = bounds[g + 1] - bounds[g];
    const auto add = [&](int s, int64_t i) {
      const int64_t at = offset[i];
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
            for (int h = 0; h < kHeight; ++h) sums[s][h][r * kColumns + c][p] += values[h] * x;
          }
    };
    int64_t i = 0;
    for (; i + kSums <= count; i += kSums)
#pragma GCC unroll 4
      for (int s = 0; s < kSums; ++s) add(s, i + s);
    if constexpr (kSums > 1)
      for (; i < count; ++i) add(0, i);
#pragma GCC unroll 4
    for (int h = 0; h < kHeight; ++h) {
      float* y = job.y + (w.channels[size_t(g)] + h) * job.y_channel + tile.place;
      const float* residual = job.residual == nullptr ? nullptr : job.residual + (w.channels[size_t(g)] + h) * job.y_channel + tile.place;
      const float bias = w.bias[size_t(g * kHeight + h)];
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c) {
          float* to = y + r * job.y_row + c * kSparseLanes;
          const bool partial = cut && c + 1 == kColumns;
          const size_t bytes = size_t(job.tail) * sizeof(float);
          alignas(64) float other[kSparseLanes];
          const float* added = begins ? residual == nullptr ? nullptr : residual + r * job.y_row + c * kSparseLanes : to;
          if (partial && added != nullptr) {
            std::memcpy(other, added, bytes);
            added = other;
          }
          alignas(64) float result[kSparseLanes];
#pragma GCC unroll 4
          for (int p = 0; p < kParts; ++p) {
            Floats v = sums[0][h][r * kColumns + c][p];
#pragma GCC unroll 4
            for (int s = 1; s < kSums; ++s) v += sums[s][h][r * kColumns + c][p];
            if (begins) v += bias;
            if (added != nullptr) v += vector_at(added + p * kVector);
            if (ends) v = clipped(v, job.low, job.high);
            if (partial) vector_at(result + p * kVector) = v;
            else vector_at(to + p * kVector) = v;
          }
          if (partial) std::memcpy(to, result, bytes);
        }
    }
  }
}

using TileLoop = void (*)(const Tile&);

// The loop of a tile, by its columns; null where it would not stay in registers.
template <int kHeight, int kRows, int kStep, int... kColumns>
constexpr auto loops_of(std::integer_sequence<int, kColumns...>) {
  constexpr int kMost = kHeight == 1 ? kVectors : kVectors4;
  return std::array<TileLoop, sizeof...(kColumns)>{[] {
    if constexpr (kRows * (kColumns + 1) <= kMost) return &run_tile<kHeight, kRows, kColumns + 1, kStep>;
    else return TileLoop(nullptr);
  }()...};
}

template <int kHeight, int kStep>
TileLoop loop_of(int rows, int columns) {
  using Columns = std::make_integer_sequence<int, 16>;
  static constexpr std::array<TileLoop, 16> loops[] = {loops_of<kHeight, 1, kStep>(Columns{}), loops_of<kHeight, 2, kStep>(Columns{}), loops_of<kHeight, 4, kStep>(Columns{})};
  return loops[rows / 2][size_t(columns - 1)];
}

// Tiles of alike width that cover the columns.
void run_layer(const SparseFloatJob& job, int64_t first, int64_t last) {
  const int most = job.weights->height == 1 ? kVectors : kVectors4;
  int64_t tile_rows = std::min<int64_t>(job.tile_rows, job.rows);
  tile_rows = tile_rows >= 4 && most >= 4 ? 4 : tile_rows >= 2 && most >= 2 ? 2 : 1;
  const int64_t wide = std::clamp<int64_t>(job.tile_columns, 1, most / tile_rows);
  const int64_t parts = (job.columns + wide - 1) / wide;
  for (int64_t row = 0; row < job.rows;) {
    int64_t height = tile_rows;
    while (height > job.rows - row) height /= 2;
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t begin = job.columns * part / parts, end = job.columns * (part + 1) / parts;
      const int rows = int(height), columns = int(end - begin);
      const TileLoop loop = job.weights->height == 1 ? (job.x_step == 1 ? loop_of<1, 1>(rows, columns) : loop_of<1, 2>(rows, columns))
                                                     : (job.x_step == 1 ? loop_of<4, 1>(rows, columns) : loop_of<4, 2>(rows, columns));
      Tile tile{&job, job.x + row * job.x_row + begin * job.x_step * kSparseLanes, row * job.y_row + begin * kSparseLanes, 0, first, last, end == job.columns};
      for (tile.block = 0; tile.block < job.weights->blocks; ++tile.block) loop(tile);
    }
    row += height;
  }
}

// Lanes of sub-tile rows (columns) that hold a pixel at this place: place + i·sub < extent.
inline unsigned lanes_inside(int64_t extent, int64_t sub, int64_t place, bool rows) {
  unsigned mask = 0;
  for (int i = 0; i < 4; ++i)
    if (place + i * sub < extent) mask |= rows ? 0xfu << (4 * i) : 0x1111u << i;
  return mask;
}

// Lane i takes lane i + shift, or zero where `keep` has no bit.
inline void shift_lanes(const float* from, int shift, unsigned keep, float* to) {
#if defined(__AVX512F__)
  const __m512i lanes = _mm512_add_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi32(shift));
  _mm512_storeu_ps(to, _mm512_maskz_permutexvar_ps(__mmask16(keep), lanes, _mm512_loadu_ps(from)));
#else
  float lanes[kSparseLanes];
  for (int i = 0; i < kSparseLanes; ++i) lanes[i] = (keep >> i & 1) != 0 ? from[i + shift] : 0.0f;
  std::memcpy(to, lanes, sizeof(lanes));
#endif
}

void clear_outside(const SparseLanes& map, float* channel) {
  if (map.height % 4 == 0 && map.width % 4 == 0) return;
  for (int64_t y = 0; y < map.sub_height(); ++y) {
    const unsigned inside = lanes_inside(map.height, map.sub_height(), y, true);
    for (int64_t x = 0; x < map.sub_width(); ++x) {
      const unsigned keep = inside & lanes_inside(map.width, map.sub_width(), x, false);
      float* vector = channel + map.origin() + y * map.row() + x * kSparseLanes;
      if (keep != 0xffff) shift_lanes(vector, 0, keep, vector);
    }
  }
}

void close_ring(const SparseLanes& map, float* channel) {
  clear_outside(map, channel);
  const int64_t h = map.sub_height(), w = map.sub_width(), row = map.row();
  float* inside = channel + map.origin();
  for (int64_t y = 0; y < h; ++y) {  // left and right: from the neighbour of the same row of sub-tiles
    shift_lanes(inside + y * row + (w - 1) * kSparseLanes, -1, 0xeeee, inside + y * row - kSparseLanes);
    shift_lanes(inside + y * row, 1, 0x7777, inside + y * row + w * kSparseLanes);
  }
  for (int64_t x = -1; x <= w; ++x) {  // above and below, with the corners
    shift_lanes(inside + (h - 1) * row + x * kSparseLanes, -4, 0xfff0, inside - row + x * kSparseLanes);
    shift_lanes(inside + x * kSparseLanes, 4, 0x0fff, inside + h * row + x * kSparseLanes);
  }
}

void enter_lanes(const SparseLanes& map, const float* pixels, int64_t row, int64_t column, float* channel) {
  const int64_t sub_h = map.sub_height(), sub_w = map.sub_width();
  for (int64_t y = 0; y < sub_h; ++y)
    for (int64_t x = 0; x < sub_w; ++x) {
      const unsigned inside = lanes_inside(map.height, sub_h, y, true) & lanes_inside(map.width, sub_w, x, false);
      float* to = channel + map.origin() + y * map.row() + x * kSparseLanes;
      const float* from = pixels + y * row + x * column;
      for (int lane = 0; lane < kSparseLanes; ++lane) to[lane] = (inside >> lane & 1) != 0 ? from[lane / 4 * sub_h * row + lane % 4 * sub_w * column] : 0.0f;
    }
  close_ring(map, channel);
}

void transpose_floats(const float* x, int64_t rows, int64_t columns, int64_t pitch, float* y, int64_t out_pitch) {
  constexpr int64_t kBlock = 16;
  for (int64_t r = 0; r < rows; r += kBlock)
    for (int64_t c = 0; c < columns; c += kBlock) {
      const int64_t r_end = std::min(rows, r + kBlock), c_end = std::min(columns, c + kBlock);
      for (int64_t j = c; j < c_end; ++j)
        for (int64_t i = r; i < r_end; ++i) y[j * out_pitch + i] = x[i * pitch + j];
    }
}

}  // namespace
}  // namespace pare
