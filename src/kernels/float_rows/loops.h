// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/float_rows/float_rows.h"

namespace pare {
namespace {

constexpr int kLanes = 16;

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
  float rest = 0;
  for (; i < n; ++i) rest += term(i);
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int l = 0; l < step; ++l) lanes[l] += lanes[l + step];
  return lanes[0] + rest;
}

template <class Term>
inline float max_of(int64_t n, Term term) {
  constexpr float kLeast = -std::numeric_limits<float>::infinity();
  float lanes[kLanes];
  for (float& lane : lanes) lane = kLeast;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) {
      const float v = term(i + l);
      lanes[l] = lanes[l] > v ? lanes[l] : v;
    }
  float most = kLeast;
  for (; i < n; ++i) most = most > term(i) ? most : term(i);
  for (const float lane : lanes) most = most > lane ? most : lane;
  return most;
}

inline void softmax_row(const float* x, const float* mask, float scale, float* y, int64_t n) {
  if (mask != nullptr)
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale + mask[i];
  else
    for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale;
  const float most = max_of(n, [&](int64_t i) { return y[i]; });
  for (int64_t i = 0; i < n; ++i) y[i] = exp_of(y[i] - most);
  const float factor = 1 / sum_of(n, [&](int64_t i) { return y[i]; });
  for (int64_t i = 0; i < n; ++i) y[i] *= factor;
  if (most == -std::numeric_limits<float>::infinity() || most != most)
    for (int64_t i = 0; i < n; ++i) y[i] = std::numeric_limits<float>::quiet_NaN();
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

}  // namespace
}  // namespace pare
