#pragma once
// e^x of a register; compiled once for each instruction set, included by those files only.
#include <bit>
#include <cstdint>

#include "kernels/float_vectors.h"

namespace pare {
namespace {

// 2^k · e^r, k = round(x / ln 2), |r| ≤ ln 2 / 2; Taylor of degree 6 errs by r⁷/5040 ≤ 1.2e-7. x within ±87.
inline Floats exp_within(Floats x) {
  constexpr float kRound = 12582912.0f;  // 1.5 · 2²³: adding it rounds to a whole number
  const Floats shifted = x * 1.44269504f + kRound, k = shifted - kRound;
  const Floats r = (x - k * 0.693145752f) - k * 1.42860677e-6f;  // ln 2 in two parts
  Floats p = r * (1.0f / 720) + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
#if defined(__AVX512F__)
  return (Floats)_mm512_scalef_ps((__m512)p, (__m512)k);
#else
  const Ints exponent = (Ints)shifted - std::bit_cast<int32_t>(kRound);
  return p * (Floats)((exponent + 127) << 23);
#endif
}

}  // namespace
}  // namespace pare
