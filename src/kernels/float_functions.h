#pragma once
// What layers apply to their sums, a register at a time; compiled once for each instruction set, included by those files only.

#include "kernels/float_exp.h"
#include "kernels/float_linear/float_linear.h"
#include "kernels/float_vectors.h"
#if defined(__AVX512F__)
#include "kernels/int8_epilogue/int8_epilogue_avx512.h"
#elif defined(__AVX2__)
#include "kernels/int8_epilogue/int8_epilogue_avx2.h"
#endif

namespace pare {
namespace {

#if defined(__AVX512F__)
inline Floats least(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
inline Floats most(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__)  // what the comparisons below say, in one instruction
inline Floats least(Floats a, Floats b) { return (Floats)_mm256_min_ps((__m256)a, (__m256)b); }
inline Floats most(Floats a, Floats b) { return (Floats)_mm256_max_ps((__m256)a, (__m256)b); }
#else
inline Floats least(Floats a, Floats b) { return a < b ? a : b; }
inline Floats most(Floats a, Floats b) { return a > b ? a : b; }
#endif

// 1 / x of a normal number.
inline Floats reciprocal(Floats x) {
#if defined(__AVX512F__)
  const Floats y = (Floats)_mm512_rcp14_ps((__m512)x);  // 14 bits, Newton's step doubles them
  return y + y * (1.0f - x * y);
#else
  return 1.0f / x;
#endif
}

inline Floats sigmoid_of(Floats x) {
  // Limits first: a NaN takes the second operand's place in neither.
  return reciprocal(1.0f + exp_within(least(Floats{} + 87.0f, most(Floats{} - 87.0f, -x))));
}

// x Φ(x), Φ by Abramowitz and Stegun 7.1.26: erf(z) = 1 - (a1 t + … + a5 t⁵) e^(-z²), t = 1 / (1 + p z), error below 1.5e-7.
inline Floats gelu_of(Floats x) {
  const Floats z = most(x, -x) * 0.707106781f;
  const Floats t = reciprocal(1.0f + 0.3275911f * least(z, Floats{} + 1e6f));
  const Floats power = exp_within(most(Floats{} - 87.0f, -(z * z)));
  Floats p = 1.061405429f * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Floats tail = 0.5f * p * t * power;  // 1 - Φ(|x|)
  return most(x, Floats{}) - most(x, -x) * tail;
}

template <FloatFunction::Kind Kind, bool Coarse>
inline __attribute__((always_inline)) Floats applied(const FloatFunction& f, Floats x) {
#if defined(__AVX2__)
#if defined(__AVX512F__)
  using V = Float16;
#else
  using V = Float8;
#endif
  // Quotients of polynomials take less than half the time of an exponential.
  if (Kind == FloatFunction::gelu) return (Floats)gated<V, GaussGate>(1, (V::F)x);
  if (Kind == FloatFunction::swish && Coarse) return (Floats)gated<V, SigmoidGate>(f.low, (V::F)x);
  if (Kind == FloatFunction::swish && f.low > 0) {
    // Below the gate's range the result vanishes, and its error must not grow with x. NaN, second in the maximum, stays.
    return (Floats)gated<V, FineSigmoidGate>(f.low, (V::F)most(Floats{} - FineSigmoidGate::most / f.low, x));
  }
#endif
  if (Kind == FloatFunction::sigmoid) return sigmoid_of(x);
  if (Kind == FloatFunction::swish) return x * sigmoid_of(x * f.low);
  if (Kind == FloatFunction::gelu) return gelu_of(x);
  if (Kind == FloatFunction::leaky) return x > 0 ? x : x * f.low;
  return least(Floats{} + f.high, most(Floats{} + f.low, x));
}

template <bool Coarse>
inline __attribute__((always_inline)) Floats applied(const FloatFunction& f, Floats x) {
  switch (f.kind) {
    case FloatFunction::sigmoid: return applied<FloatFunction::sigmoid, Coarse>(f, x);
    case FloatFunction::swish: return applied<FloatFunction::swish, Coarse>(f, x);
    case FloatFunction::gelu: return applied<FloatFunction::gelu, Coarse>(f, x);
    case FloatFunction::leaky: return applied<FloatFunction::leaky, Coarse>(f, x);
    default: return applied<FloatFunction::limits, Coarse>(f, x);
  }
}

}  // namespace
}  // namespace pare
