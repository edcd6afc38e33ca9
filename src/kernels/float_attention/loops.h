// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <cstring>

#include "kernels/float_attention/float_attention.h"
#include "kernels/float_rows/loops.h"
#include "kernels/transpose_square.h"

namespace pare {
namespace {

// The largest tile of sums that stays in registers.
#if defined(__AVX512F__)
constexpr int kTileRows = 6, kTileVectors = 4;
#else
constexpr int kTileRows = 6, kTileVectors = 2;
#endif

template <class Stored>
struct Matrix {
  const Stored* at;
  int64_t stride;
};

inline Floats load(const float* from) {
  return vector_at(from);
}
inline Floats load(const uint16_t* from) {
  return floats_of_halves(from);
}
inline Floats load(const int8_t* from) {
  return floats_of_bytes(from);
}

// What a step of the products adds; storage whose elements are more than numbers has its own.
template <class Stored>
inline Floats add_product(Floats sum, float a, Floats b, const Stored*) {
  return sum + a * b;
}

// C[r][c] = factor[r]·Σ_k A[r][k]·B[k][c] for R rows and V vectors of columns, all sums in registers. No factors: 1.
template <int R, int V, class Stored>
inline void multiply_tile(Matrix<float> left, Matrix<Stored> right, const float* factor, float* c, int64_t ldc,
                          int64_t depth) {
  const auto [a, lda] = left;
  const auto [b, ldb] = right;
  Floats sums[R][V] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Floats row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) row[v] = load(b + k * ldb + v * kVector);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] = add_product(sums[r][v], a[r * lda + k], row[v], b);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) *reinterpret_cast<Floats*>(c + r * ldc + v * kVector) = sums[r][v] * (factor != nullptr ? factor[r] : 1.0f);
}

template <int V, class Stored>
inline void multiply_columns(int64_t rows, Matrix<float> a, Matrix<Stored> b, const float* factor, float* c,
                             int64_t ldc, int64_t depth) {
  const auto tile = [&](auto kernel, int64_t r) {
    kernel(Matrix<float>{a.at + r * a.stride, a.stride}, b, factor ? factor + r : nullptr, c + r * ldc, ldc, depth);
  };
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) tile(multiply_tile<kTileRows, V, Stored>, r);
  switch (rows - r) {
    case 5:
      return tile(multiply_tile<5, V, Stored>, r);
    case 4:
      return tile(multiply_tile<4, V, Stored>, r);
    case 3:
      return tile(multiply_tile<3, V, Stored>, r);
    case 2:
      return tile(multiply_tile<2, V, Stored>, r);
    case 1:
      return tile(multiply_tile<1, V, Stored>, r);
    default: return;
  }
}

// `columns` is a multiple of 16, so of kVector.
template <class Stored>
inline void multiply(int64_t rows, int64_t columns, int64_t depth, Matrix<float> a, Matrix<Stored> b,
                     const float* factor, float* c, int64_t ldc) {
  const auto part = [&](auto kernel, int64_t j) {
    kernel(rows, a, Matrix<Stored>{b.at + j, b.stride}, factor, c + j, ldc, depth);
  };
  int64_t j = 0;
  // Few rows leave registers for more columns, so that `b` is read in fewer rounds.
  for (; rows <= kTileRows / 2 && j + 2 * kTileVectors * kVector <= columns; j += 2 * kTileVectors * kVector)
    part(multiply_columns<2 * kTileVectors, Stored>, j);
  for (; j + kTileVectors * kVector <= columns; j += kTileVectors * kVector)
    part(multiply_columns<kTileVectors, Stored>, j);
  switch ((columns - j) / kVector) {
    case 3:
      return part(multiply_columns<std::min(3, kTileVectors), Stored>, j);
    case 2:
      return part(multiply_columns<2, Stored>, j);
    case 1:
      return part(multiply_columns<1, Stored>, j);
    default: return;
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

// Rows of values as floats, filled up to `width` with zeros. The last vector may reach behind a row: it is read one by
// one.
template <class Stored>
inline void widen_values(const FloatAttention& job, float* to, int64_t width) {
  for (int64_t t = 0; t < job.keys; ++t, to += width) {
    const Stored* from = static_cast<const Stored*>(job.value) + t * job.value_stride;
    int64_t j = 0;
    for (; j + kVector <= job.value_width; j += kVector) vector_at(to + j) = load(from + j);
    Stored rest[kVector] = {};
    std::copy_n(from + j, job.value_width - j, rest);
    for (; j < width; j += kVector) {
      vector_at(to + j) = load(rest);
      std::fill_n(rest, kVector, Stored(0));
    }
  }
}

inline void scale_columns(float* scores, int64_t rows, int64_t stride, const float* scales, int64_t keys) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t t = 0; t < keys; ++t) scores[r * stride + t] *= scales[t];
}

template <class Stored>
inline void attend_kept(const FloatAttention& job) {
  const int64_t columns = (job.keys + 15) / 16 * 16, width = (job.value_width + 15) / 16 * 16;
  float *keys = job.scratch, *scores = keys + (job.key_columns ? 0 : columns * job.width), *factors = scores + columns * job.rows, *spare = factors + (job.rows + 15) / 16 * 16;
  const Matrix<float> query{job.query, job.query_stride};
  if (job.key_columns != nullptr) {
    const auto* kept = static_cast<const Stored*>(job.key_columns);
    for (int64_t first = 0; first < columns; first += kKeyBlock)
      multiply(job.rows, kKeyBlock, job.width, query, Matrix<Stored>{kept + first * job.width, kKeyBlock}, nullptr,
               scores + first, columns);
    if (job.key_scales != nullptr) scale_columns(scores, job.rows, columns, job.key_scales, job.keys);
  } else {
    transpose_keys(job, keys, columns);
    multiply(job.rows, columns, job.width, query, Matrix<float>{keys, columns}, nullptr, scores, columns);
  }
  for (int64_t r = 0; r < job.rows; ++r)
    factors[r] = exponentials(scores + r * columns, job.mask ? job.mask + r * job.mask_stride : nullptr, job.scale, scores + r * columns, job.keys);
  if (job.value_scales != nullptr) scale_columns(scores, job.rows, columns, job.value_scales, job.keys);
  const Matrix<float> weights{scores, columns};
  if (width == job.value_width)
    return multiply(job.rows, width, job.keys, weights,
                    Matrix<Stored>{static_cast<const Stored*>(job.value), job.value_stride}, factors, job.output,
                    job.output_stride);
  float *values = spare, *result = values + width * job.keys;
  widen_values<Stored>(job, values, width);
  multiply(job.rows, width, job.keys, weights, Matrix<float>{values, width}, factors, result, width);
  for (int64_t r = 0; r < job.rows; ++r) std::memcpy(job.output + r * job.output_stride, result + r * width, size_t(job.value_width) * sizeof(float));
}

inline void attend(const FloatAttention& job) {
  constexpr void (*kForms[])(const FloatAttention&) = {attend_kept<float>, attend_kept<uint16_t>, attend_kept<int8_t>};
  kForms[size_t(job.kept)](job);
}

}  // namespace
}  // namespace pare
