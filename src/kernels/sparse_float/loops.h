// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

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
      Tile tile{&job, job.x + row * job.x_row + begin * job.x_step * kSparseLanes, row * job.y_row + begin * kSparseLanes, row * job.residual_row + begin * kSparseLanes, 0, first, last};
      for (tile.block = 0; tile.block < job.weights->blocks; ++tile.block) loop(tile);
    }
    row += height;
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
#elif defined(__AVX2__)
  const __m256i bits = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
  const auto part = [&](int p) {  // what is not kept is not read
    const __m256i mask = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(keep >> p)), bits), bits);
    return _mm256_maskload_ps(from + shift + p, mask);
  };
  const __m256 low = part(0), high = part(8);
  _mm256_storeu_ps(to, low);
  _mm256_storeu_ps(to + 8, high);
#else
  float lanes[kSparseLanes];
  for (int i = 0; i < kSparseLanes; ++i) lanes[i] = (keep >> i & 1) != 0 ? from[i + shift] : 0.0f;
  std::memcpy(to, lanes, sizeof(lanes));
#endif
}

// Rows of the map from the first one of the band on.
inline int64_t rows_from(const SparseLanes& map, int64_t band) { return map.height - band * 4 * map.sub_height(); }

void clear_outside(const SparseLanes& map, int64_t band, float* channel) {
  if (map.height % (4 * map.bands) == 0 && map.width % 4 == 0) return;
  for (int64_t y = 0; y < map.sub_height(); ++y) {
    const unsigned inside = lanes_inside(rows_from(map, band), map.sub_height(), y, true);
    for (int64_t x = 0; x < map.sub_width(); ++x) {
      const unsigned keep = inside & lanes_inside(map.width, map.sub_width(), x, false);
      float* vector = channel + map.origin() + y * map.row() + x * kSparseLanes;
      if (keep != 0xffff) shift_lanes(vector, 0, keep, vector);
    }
  }
}

constexpr size_t kRowBytes = 4 * sizeof(float);  // of one row of sub-tiles in a vector

void close_ring(const SparseLanes& map, int64_t band, float* channel, float* first, float* last) {
  clear_outside(map, band, channel);
  const int64_t h = map.sub_height(), w = map.sub_width(), row = map.row(), ring = map.ring;
  for (int64_t y = 0; y < h; ++y) {
    float* own = channel + map.origin() + y * row;
    for (int64_t x = 0; x < ring; ++x) {  // left and right: from the neighbour of the same row of sub-tiles
      shift_lanes(own + (w - 1 - x) * kSparseLanes, -1, 0xeeee, own - (1 + x) * kSparseLanes);
      shift_lanes(own + x * kSparseLanes, 1, 0x7777, own + (w + x) * kSparseLanes);
    }
    for (int64_t x = -ring * kSparseLanes; x < (w + ring) * kSparseLanes; x += kSparseLanes) {  // above and below, with the corners
      float *above = own - h * row + x, *below = own + h * row + x;
      if (y >= h - ring) std::memcpy(above + 4, own + x, 3 * kRowBytes);
      if (y >= h - ring && band == 0) std::memset(above, 0, kRowBytes);
      if (y < ring) std::memcpy(below, own + x + 4, 3 * kRowBytes);
      if (y < ring && band + 1 == map.bands) std::memset(below + 12, 0, kRowBytes);
    }
  }
  if (map.bands == 1) return;
  for (int64_t y = 0; y < ring; ++y)
    for (int64_t x = 0; x < w; ++x) {
      const float* own = channel + map.origin() + x * kSparseLanes;
      std::memcpy(first + (y * w + x) * 4, own + y * row, kRowBytes);
      std::memcpy(last + (y * w + x) * 4, own + (h - ring + y) * row + 12, kRowBytes);
    }
}

// A row of pixels to four lanes of each of its vectors, and of those beside it.
inline void place_row(const float* pixels, int64_t width, int64_t ring, float* to) {
  for (int64_t x = 0; x < width; ++x) std::memcpy(to + x * kSparseLanes, pixels + x * 4, kRowBytes);
  for (int64_t x = 0; x < ring; ++x) {
    float *left = to - (1 + x) * kSparseLanes, *right = to + (width + x) * kSparseLanes;
    left[0] = 0;
    std::memcpy(left + 1, pixels + (width - 1 - x) * 4, 3 * sizeof(float));
    std::memcpy(right, pixels + x * 4 + 1, 3 * sizeof(float));
    right[3] = 0;
  }
}

void join_ring(const SparseLanes& map, float* channel, const float* above, const float* below) {
  const int64_t h = map.sub_height(), w = map.sub_width();
  float* own = channel + map.origin();
  for (int64_t y = 0; y < map.ring; ++y) {
    if (above != nullptr) place_row(above + y * w * 4, w, map.ring, own + (y - map.ring) * map.row());
    if (below != nullptr) place_row(below + y * w * 4, w, map.ring, own + (h + y) * map.row() + 12);
  }
}

void enter_lanes(const SparseLanes& map, int64_t band, const float* pixels, int64_t row, int64_t column, float* channel) {
  const int64_t sub_h = map.sub_height(), sub_w = map.sub_width(), height = rows_from(map, band);
  pixels += band * 4 * sub_h * row;
  for (int64_t y = 0; y < sub_h; ++y)
    for (int64_t x = 0; x < sub_w; ++x) {
      const unsigned inside = lanes_inside(height, sub_h, y, true) & lanes_inside(map.width, sub_w, x, false);
      float* to = channel + map.origin() + y * map.row() + x * kSparseLanes;
      const float* from = pixels + y * row + x * column;
      for (int lane = 0; lane < kSparseLanes; ++lane) to[lane] = (inside >> lane & 1) != 0 ? from[lane / 4 * sub_h * row + lane % 4 * sub_w * column] : 0.0f;
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
