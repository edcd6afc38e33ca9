// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/float_exp.h"
#include "kernels/float_rows/float_rows.h"
#include "kernels/float_vectors.h"

namespace pare {
namespace {

constexpr int kLanes = 32;

// e^x for x ≤ 0 within 2 ulp; below −87 the result is 0. Written for vectors: no branches, no calls.
// 2^k·e^r, k = round(x/ln 2), |r| ≤ ln 2/2; Taylor of degree 6 errs by r⁷/5040 ≤ 1.2e-7.
inline float exp_of(float x) {
  const float bounded = x < -87.0f ? -87.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5·2²³: adding it rounds to a whole number
  const float shifted = bounded * 1.44269504f + kRound, k = shifted - kRound;
  const float r = (bounded - k * 0.693145752f) - k * 1.42860677e-6f;  // ln 2 in two parts
  float p = 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  const float scaled = p * std::bit_cast<float>((exponent + 127) << 23);
  return x < -87.0f ? 0.0f : scaled;
}

template <class Term>
inline float sum_of(int64_t n, Term term) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) lanes[l] += term(i + l);
  for (int l = 0; i < n; ++i, ++l) lanes[l] += term(i);
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int l = 0; l < step; ++l) lanes[l] += lanes[l + step];
  return lanes[0];
}

inline Floats exp_of(Floats x) {
  const Floats value = exp_within(x < -87.0f ? Floats{} - 87.0f : x);
  return x < -87.0f ? Floats{} : value;
}

inline Floats& vector_at(float* x) { return *reinterpret_cast<Floats*>(x); }
inline const Floats& vector_at(const float* x) { return *reinterpret_cast<const Floats*>(x); }

// Sum and maximum of a register's lanes. One after the other they would wait for one another as long as a row of 128 takes.
inline float sum_across(Floats v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  for (int step = kVector / 2; step > 0; step /= 2)
    for (int l = 0; l < step; ++l) v[l] += v[l + step];
  return v[0];
#endif
}
inline float maximum_across(Floats v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  for (int step = kVector / 2; step > 0; step /= 2)
    for (int l = 0; l < step; ++l) v[l] = v[l] > v[l + step] ? v[l] : v[l + step];
  return v[0];
#endif
}

// y = e^(x·scale + mask − max); returns what to multiply it by, so that it sums to 1.
inline float exponentials(const float* x, const float* mask, float scale, float* y, int64_t n) {
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  Floats highest = Floats{} + kLeast;
  int64_t i = 0;
  for (; i + kVector <= n; i += kVector) {
    const Floats v = mask != nullptr ? vector_at(x + i) * scale + vector_at(mask + i) : vector_at(x + i) * scale;
    vector_at(y + i) = v;
    highest = highest > v ? highest : v;
  }
  float most = maximum_across(highest);
  for (; i < n; ++i) {
    y[i] = x[i] * scale + (mask != nullptr ? mask[i] : 0.0f);
    most = most > y[i] ? most : y[i];
  }
  Floats sums{};
  for (i = 0; i + kVector <= n; i += kVector) sums += vector_at(y + i) = exp_of(vector_at(y + i) - most);
  float sum = sum_across(sums);
  for (; i < n; ++i) sum += y[i] = exp_of(y[i] - most);
  return most == kLeast || most != most ? std::numeric_limits<float>::quiet_NaN() : 1 / sum;
}

inline void softmax_row(const float* x, const float* mask, float scale, float* y, int64_t n) {
  const float factor = exponentials(x, mask, scale, y, n);
  for (int64_t i = 0; i < n; ++i) y[i] *= factor;
}

inline void softmax_columns(const float* x, float* y, int64_t length, int64_t pitch, int64_t n) {
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  for (; i + kVector <= n; i += kVector) {
    Floats most = Floats{} + kLeast, sum{};
    for (int64_t k = 0; k < length; ++k) {
      const Floats v = vector_at(x + k * pitch + i);
      most = most > v ? most : v;
    }
    for (int64_t k = 0; k < length; ++k) sum += vector_at(y + k * pitch + i) = exp_of(vector_at(x + k * pitch + i) - most);
    const Floats factor = 1.0f / sum;
    for (int64_t k = 0; k < length; ++k) vector_at(y + k * pitch + i) *= factor;
  }
  for (; i < n; ++i) {
    float most = kLeast, sum = 0;
    for (int64_t k = 0; k < length; ++k) most = most > x[k * pitch + i] ? most : x[k * pitch + i];
    for (int64_t k = 0; k < length; ++k) sum += y[k * pitch + i] = exp_of(x[k * pitch + i] - most);
    for (int64_t k = 0; k < length; ++k) y[k * pitch + i] /= sum;
  }
}

inline void norm_row(const float* x, const float* gamma, const float* beta, float epsilon, bool centred, float* y, int64_t n) {
  const float mean = centred ? sum_of(n, [&](int64_t i) { return x[i]; }) / float(n) : 0;
  const float variance = sum_of(n, [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / float(n);
  const float factor = 1 / std::sqrt(variance + epsilon);
  if (beta != nullptr)
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * factor * gamma[i] + beta[i];
  else
    for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * factor * gamma[i];
}

inline float sum_row(const float* x, int64_t n) {
  return sum_of(n, [&](int64_t i) { return x[i]; });
}

inline void accumulate_row(const float* x, float factor, bool first, float* y, int64_t n) {
  if (first)
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor;
  else
    for (int64_t i = 0; i < n; ++i) y[i] += x[i] * factor;
}

// The exponent is never positive, so nothing overflows: sigmoid(x) is 1/(1 + e) for x ≥ 0, else e/(1 + e), e = e^−|x|.
inline void gate_row(const float* x, const float* by, float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kVector <= n; i += kVector) {
    const Floats v = vector_at(x + i), e = exp_of(v < 0.0f ? v : -v);
    vector_at(y + i) = v * (v < 0.0f ? e : Floats{} + 1.0f) / (1.0f + e) * vector_at(by + i);
  }
  for (; i < n; ++i) {
    const float e = exp_of(x[i] < 0 ? x[i] : -x[i]);
    y[i] = x[i] * (x[i] < 0 ? e : 1.0f) / (1.0f + e) * by[i];
  }
}

}  // namespace
}  // namespace pare
