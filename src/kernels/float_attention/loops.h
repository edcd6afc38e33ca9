// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernels/float_attention/float_attention.h"
#include "kernels/float_rows/loops.h"

namespace pare {
namespace {

// The largest tile of sums that stays in registers.
#if defined(__AVX512F__)
constexpr int kTileRows = 6, kTileVectors = 4;
#else
constexpr int kTileRows = 6, kTileVectors = 2;
#endif

struct Matrix {
  const float* at;
  int64_t stride;
};

// C[r][c] = factor[r]·Σ_k A[r][k]·B[k][c] for R rows and V vectors of columns, all sums in registers. No factors: 1.
template <int R, int V>
inline void multiply_tile(Matrix left, Matrix right, const float* factor, float* c, int64_t ldc, int64_t depth) {
  const auto [a, lda] = left;
  const auto [b, ldb] = right;
  Floats sums[R][V] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Floats row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) row[v] = *reinterpret_cast<const Floats*>(b + k * ldb + v * kVector);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] += a[r * lda + k] * row[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) *reinterpret_cast<Floats*>(c + r * ldc + v * kVector) = sums[r][v] * (factor != nullptr ? factor[r] : 1.0f);
}

template <int V>
inline void multiply_columns(int64_t rows, Matrix a, Matrix b, const float* factor, float* c, int64_t ldc, int64_t depth) {
  const auto tile = [&](auto kernel, int64_t r) { kernel(Matrix{a.at + r * a.stride, a.stride}, b, factor ? factor + r : nullptr, c + r * ldc, ldc, depth); };
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) tile(multiply_tile<kTileRows, V>, r);
  switch (rows - r) {
    case 5: return tile(multiply_tile<5, V>, r);
    case 4: return tile(multiply_tile<4, V>, r);
    case 3: return tile(multiply_tile<3, V>, r);
    case 2: return tile(multiply_tile<2, V>, r);
    case 1: return tile(multiply_tile<1, V>, r);
    default: return;
  }
}

// `columns` is a multiple of 16, so of kVector.
inline void multiply(int64_t rows, int64_t columns, int64_t depth, Matrix a, Matrix b, const float* factor, float* c, int64_t ldc) {
  const auto part = [&](auto kernel, int64_t j) { kernel(rows, a, Matrix{b.at + j, b.stride}, factor, c + j, ldc, depth); };
  int64_t j = 0;
  // Few rows leave registers for more columns, so that `b` is read in fewer rounds.
  for (; rows <= kTileRows / 2 && j + 2 * kTileVectors * kVector <= columns; j += 2 * kTileVectors * kVector) part(multiply_columns<2 * kTileVectors>, j);
  for (; j + kTileVectors * kVector <= columns; j += kTileVectors * kVector) part(multiply_columns<kTileVectors>, j);
  switch ((columns - j) / kVector) {
    case 3: return part(multiply_columns<std::min(3, kTileVectors)>, j);
    case 2: return part(multiply_columns<2>, j);
    case 1: return part(multiply_columns<1>, j);
    default: return;
  }
}

// Element l of the result is element which[l] of a and b side by side. Clang, which builds the fuzz targets, shuffles by
// constants only.
inline Floats shuffled(Floats a, Floats b, Ints which) {
#if defined(__clang__)
  Floats result;
  for (int l = 0; l < kVector; ++l) result[l] = which[l] < kVector ? a[which[l]] : b[which[l] - kVector];
  return result;
#else
  return __builtin_shuffle(a, b, which);
#endif
}

// Rows become columns: in stage s, rows i and i + s exchange the elements whose index differs in bit s.
inline void transpose_square(Floats (&rows)[kVector]) {
  for (int stage = 1; stage < kVector; stage *= 2) {
    Ints first, second;
    for (int l = 0; l < kVector; ++l) {
      first[l] = (l & stage) == 0 ? l : kVector + (l ^ stage);
      second[l] = (l & stage) == 0 ? l ^ stage : kVector + l;
    }
    for (int i = 0; i < kVector; ++i) {
      if ((i & stage) != 0) continue;
      const Floats a = rows[i], b = rows[i + stage];
      rows[i] = shuffled(a, b, first);
      rows[i + stage] = shuffled(a, b, second);
    }
  }
}

// Keys as columns, filled up with zeros.
inline void transpose_keys(const FloatAttention& job, float* to, int64_t columns) {
  for (int64_t first = 0; first < columns; first += kVector) {
    const int64_t count = std::min<int64_t>(kVector, job.keys - first);
    int64_t k = 0;
    for (; count == kVector && k + kVector <= job.width; k += kVector) {
      Floats rows[kVector];
      for (int64_t i = 0; i < kVector; ++i) rows[i] = *reinterpret_cast<const Floats*>(job.key + (first + i) * job.key_stride + k);
      transpose_square(rows);
      for (int64_t i = 0; i < kVector; ++i) *reinterpret_cast<Floats*>(to + (k + i) * columns + first) = rows[i];
    }
    for (; k < job.width; ++k)
      for (int64_t i = 0; i < kVector; ++i) to[k * columns + first + i] = i < count ? job.key[(first + i) * job.key_stride + k] : 0;
  }
}

inline void attend(const FloatAttention& job) {
  const int64_t columns = (job.keys + 15) / 16 * 16, width = (job.value_width + 15) / 16 * 16;
  float *keys = job.scratch, *scores = keys + (job.key_columns ? 0 : columns * job.width), *factors = scores + columns * job.rows, *spare = factors + (job.rows + 15) / 16 * 16;
  const Matrix query{job.query, job.query_stride};
  if (job.key_columns != nullptr) {
    for (int64_t first = 0; first < columns; first += kKeyBlock)
      multiply(job.rows, kKeyBlock, job.width, query, {job.key_columns + first * job.width, kKeyBlock}, nullptr, scores + first, columns);
  } else {
    transpose_keys(job, keys, columns);
    multiply(job.rows, columns, job.width, query, {keys, columns}, nullptr, scores, columns);
  }
  for (int64_t r = 0; r < job.rows; ++r)
    factors[r] = exponentials(scores + r * columns, job.mask ? job.mask + r * job.mask_stride : nullptr, job.scale, scores + r * columns, job.keys);
  const Matrix weights{scores, columns};
  if (width == job.value_width) return multiply(job.rows, width, job.keys, weights, {job.value, job.value_stride}, factors, job.output, job.output_stride);
  float *values = spare, *result = values + width * job.keys;
  for (int64_t t = 0; t < job.keys; ++t) {
    std::memcpy(values + t * width, job.value + t * job.value_stride, size_t(job.value_width) * sizeof(float));
    std::fill(values + t * width + job.value_width, values + (t + 1) * width, 0.f);
  }
  multiply(job.rows, width, job.keys, weights, {values, width}, factors, result, width);
  for (int64_t r = 0; r < job.rows; ++r) std::memcpy(job.output + r * job.output_stride, result + r * width, size_t(job.value_width) * sizeof(float));
}

}  // namespace
}  // namespace pare
