// Maps in lanes: how pixels enter them, and the rings around them. Compiled once for each instruction set, by loops.h.
#pragma once
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/sparse_float/sparse_float.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pare {
namespace {

constexpr size_t kRowBytes = 4 * sizeof(float);  // of one row of sub-tiles in a vector

// A map's extents, computed once: they take divisions.
struct Extents {
  explicit Extents(const SparseLanes& map)
      : height(map.sub_height()), width(map.sub_width()), row(map.row()), ring(map.ring), origin(map.origin()) {}
  int64_t height, width;  // of a sub-tile
  int64_t row, ring, origin;
};

// Lanes of sub-tile rows (columns) that hold a pixel at this place: place + i·sub < extent.
inline unsigned lanes_inside(int64_t extent, int64_t sub, int64_t place, bool rows) {
  unsigned mask = 0;
  for (int i = 0; i < 4; ++i)
    if (place + i * sub < extent) mask |= rows ? 0xfu << (4 * i) : 0x1111u << i;
  return mask;
}

// Rows of the map from the first one of the band on.
inline int64_t rows_from(const SparseLanes& map, int64_t band) { return map.height - band * 4 * map.sub_height(); }

// A vector with lanes outside its map: its distance from a channel's first one, and the lanes inside.
struct PartialVector {
  int64_t at;
  unsigned inside;
};

std::vector<PartialVector> partial_vectors(const Extents& e, const SparseLanes& map, int64_t band) {
  std::vector<PartialVector> vectors;
  if (map.height % (4 * map.bands) == 0 && map.width % 4 == 0) return vectors;
  for (int64_t y = 0; y < e.height; ++y) {
    const unsigned rows = lanes_inside(rows_from(map, band), e.height, y, true);
    for (int64_t x = 0; x < e.width; ++x)
      if (const unsigned inside = rows & lanes_inside(map.width, e.width, x, false); inside != 0xffff)
        vectors.push_back({e.origin + y * e.row + x * kSparseLanes, inside});
  }
  return vectors;
}

inline void clear_outside(const PartialVector& partial, float* channel) {
  typedef int32_t Places __attribute__((vector_size(kSparseLanes * 4)));
  constexpr Places kPlace = {1 << 0, 1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                             1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
  // Copied, not cast: for a masked load of a type aligned to 4 GCC 12 takes the instruction for one aligned to 64.
  Places vector;
  std::memcpy(&vector, channel + partial.at, sizeof vector);
  vector &= (kPlace & int32_t(partial.inside)) != 0;
  std::memcpy(channel + partial.at, &vector, sizeof vector);
}

// In each row of sub-tiles a lane takes the one before (after) it; the first (last) takes zero. Whole vectors are read: a
// load that begins a lane aside crosses cache lines, and a masked one takes ten times as long there.
inline void from_left(const float* from, float* to) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(to, _mm512_bslli_epi128(_mm512_loadu_si512(from), 4));
#elif defined(__AVX2__)
  for (int p = 0; p < kSparseLanes; p += 8)
    _mm256_storeu_ps(to + p, _mm256_castsi256_ps(_mm256_bslli_epi128(_mm256_castps_si256(_mm256_loadu_ps(from + p)), 4)));
#else
  for (int lane = 0; lane < kSparseLanes; ++lane) to[lane] = lane % 4 > 0 ? from[lane - 1] : 0;
#endif
}
inline void from_right(const float* from, float* to) {
#if defined(__AVX512BW__)
  _mm512_storeu_si512(to, _mm512_bsrli_epi128(_mm512_loadu_si512(from), 4));
#elif defined(__AVX2__)
  for (int p = 0; p < kSparseLanes; p += 8)
    _mm256_storeu_ps(to + p, _mm256_castsi256_ps(_mm256_bsrli_epi128(_mm256_castps_si256(_mm256_loadu_ps(from + p)), 4)));
#else
  for (int lane = 0; lane < kSparseLanes; ++lane) to[lane] = lane % 4 < 3 ? from[lane + 1] : 0;
#endif
}

// The ring around one channel; `top` and `bottom`: zeros lie above and below it.
inline void close_channel(const Extents& e, float* channel, bool top, bool bottom) {
  float* const origin = channel + e.origin;
  for (int64_t y = 0; y < e.height; ++y)
    for (int64_t x = 0; x < e.ring; ++x) {
      float* own = origin + y * e.row;
      from_left(own + (e.width - 1 - x) * kSparseLanes, own - (1 + x) * kSparseLanes);
      from_right(own + x * kSparseLanes, own + (e.width + x) * kSparseLanes);
    }
  // Above and below, with the corners.
  const int64_t begin = -e.ring * kSparseLanes, end = (e.width + e.ring) * kSparseLanes;
  const auto clear = [&](float* lanes) {
    for (int64_t x = begin; x < end; x += kSparseLanes) std::memset(lanes + x, 0, kRowBytes);
  };
  for (int64_t y = 0; y < e.ring; ++y) {
    float *first = origin + y * e.row, *below = first + e.height * e.row;
    float *last = first + (e.height - e.ring) * e.row, *above = last - e.height * e.row;
    for (int64_t x = begin; x < end; x += kSparseLanes) {
      std::memcpy(above + x + 4, last + x, 3 * kRowBytes);
      std::memcpy(below + x, first + x + 4, 3 * kRowBytes);
    }
    if (top) clear(above);
    if (bottom) clear(below + 12);
  }
}

void close_ring(const SparseLanes& map, int64_t band, int64_t channels, float* begin, std::span<const int32_t> groups,
                int height) {
  const Extents e(map);
  const std::vector<PartialVector> partial = partial_vectors(e, map, band);
  const int64_t pitch = map.channel(), edge = map.edge();
  float *const tops = begin + channels * pitch, *const bottoms = tops + map.edges(channels);
  for (const int32_t group : groups)
    for (int64_t c = group; c < group + height; ++c) {
      float* channel = begin + c * pitch;
      for (const PartialVector& vector : partial) clear_outside(vector, channel);
      close_channel(e, channel, band == 0, band + 1 == map.bands);
      for (int64_t v = 0; v < edge / 4; ++v) {
        const float* own = channel + e.origin + v / e.width * e.row + v % e.width * kSparseLanes;
        std::memcpy(tops + c * edge + v * 4, own, kRowBytes);
        std::memcpy(bottoms + c * edge + v * 4, own + (e.height - e.ring) * e.row + 12, kRowBytes);
      }
    }
}

// A row of pixels to four lanes of each of its vectors, and of those beside it.
inline void place_row(const Extents& e, const float* pixels, float* to) {
  for (int64_t x = 0; x < e.width; ++x) std::memcpy(to + x * kSparseLanes, pixels + x * 4, kRowBytes);
  for (int64_t x = 0; x < e.ring; ++x) {
    float *left = to - (1 + x) * kSparseLanes, *right = to + (e.width + x) * kSparseLanes;
    left[0] = 0;
    std::memcpy(left + 1, pixels + (e.width - 1 - x) * 4, 3 * sizeof(float));
    std::memcpy(right, pixels + x * 4 + 1, 3 * sizeof(float));
    right[3] = 0;
  }
}

void join_ring(const SparseLanes& map, int64_t band, int64_t channels, float* begin, int64_t band_pitch) {
  const Extents e(map);
  const int64_t pitch = map.channel(), edge = map.edge();
  const float *edges = begin + channels * pitch, *below = edges + band_pitch,
              *above = edges - band_pitch + map.edges(channels);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t y = 0; y < e.ring; ++y) {
      float* own = begin + c * pitch + e.origin;
      const int64_t at = c * edge + y * e.width * 4;
      if (band > 0) place_row(e, above + at, own + (y - e.ring) * e.row);
      if (band + 1 < map.bands) place_row(e, below + at, own + (e.height + y) * e.row + 12);
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
      for (int lane = 0; lane < kSparseLanes; ++lane)
        to[lane] = (inside >> lane & 1) != 0 ? from[lane / 4 * sub_h * row + lane % 4 * sub_w * column] : 0.0f;
    }
}

}  // namespace
}  // namespace pare
