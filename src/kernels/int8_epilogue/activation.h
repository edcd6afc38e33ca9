#pragma once
// Activations of Int8Epilogue in floats, once for every vector width: V names a vector of floats and its operations. In an
// unnamed namespace, because files of several instruction sets include it.
//
// Every operation rounds once and the order is the same for every V, fused multiply-adds included: so are the bits.

#include <cstdint>

#include "kernels/int8_epilogue/int8_epilogue.h"
#include "kernels/int8_epilogue/gates.h"

namespace pare {
namespace {

constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it leaves a rounded integer in the low bits

// e^-x for |x| <= 87; beyond, the value at the end. Cody and Waite's reduction: x = -(n ln 2 + r), |r| <= ln 2 / 2, ln 2
// as a sum of two floats; e^r by Taylor's terms to r^6, whose remainder is 1.2e-7. The error stays below 5e-7 of the value.
template <class V>
inline __attribute__((always_inline)) typename V::F exp_of_negative(typename V::F x) {
  using F = typename V::F;
  const F minus = V::sub(V::set(0.0f), V::min(V::max(x, V::set(-87.0f)), V::set(87.0f)));
  const F round = V::set(kRoundToInteger);
  const F shifted = V::add(V::mul(minus, V::set(1.44269504f)), round);
  const F n = V::sub(shifted, round);
  F r = V::fma(n, V::set(-0.693359375f), minus);
  r = V::fma(n, V::set(2.12194440e-4f), r);
  F p = V::set(1.0f / 720);
  p = V::fma(p, r, V::set(1.0f / 120));
  p = V::fma(p, r, V::set(1.0f / 24));
  p = V::fma(p, r, V::set(1.0f / 6));
  p = V::fma(p, r, V::set(0.5f));
  p = V::fma(p, r, V::set(1.0f));
  p = V::fma(p, r, V::set(1.0f));
  return V::mul(p, V::power_of_two(shifted));
}

// An odd function of gates.h: a quotient of polynomials takes a third of the time of an exponential and a division, and is exact
// enough for results that become 8-bit.
template <class V, class Gate>
inline __attribute__((always_inline)) typename V::F odd_gate(typename V::F a) {
  using F = typename V::F;
  const F x = V::min(V::max(a, V::set(-Gate::most)), V::set(Gate::most)), z = V::mul(x, x);
  const auto polynomial = [z](const auto& c) __attribute__((always_inline)) {
    constexpr int kTerms = sizeof(c) / sizeof(c[0]);
    F p = V::set(c[kTerms - 1]);
#pragma GCC unroll 8
    for (int k = kTerms - 2; k >= 0; --k) p = V::fma(p, z, V::set(c[k]));
    return p;
  };
  return V::div(V::mul(x, polynomial(Gate::over)), polynomial(Gate::under));
}

// x (1/2 + h(a)) for an odd function h; what `gated` gives for a = alpha x.
template <class V, class Gate>
inline __attribute__((always_inline)) typename V::F gated_at(typename V::F a, typename V::F x) {
  return V::fma(x, odd_gate<V, Gate>(a), V::mul(x, V::set(0.5f)));
}
template <class V, class Gate>
inline __attribute__((always_inline)) typename V::F gated(float alpha, typename V::F x) {
  return gated_at<V, Gate>(V::mul(x, V::set(alpha)), x);
}

// x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2, the tanh as a sigmoid.
template <class V>
inline __attribute__((always_inline)) typename V::F gated_by_tanh(typename V::F x) {
  const typename V::F slope = V::fma(V::mul(x, x), V::set(0.0713548163f), V::set(1.59576912f));
  return gated_at<V, SigmoidGate>(V::mul(x, slope), x);
}

// The activation of `x`, see Int8Activation.
template <class V>
inline __attribute__((always_inline)) typename V::F activated(const Int8Activation& a, typename V::F x) {
  using F = typename V::F;
  const F zero = V::set(0.0f), one = V::set(1.0f);
  switch (a.kind) {
    case Int8Activation::none: return x;
    case Int8Activation::leaky_relu: return V::add(V::max(x, zero), V::mul(V::min(x, zero), V::set(a.alpha)));
    case Int8Activation::sigmoid:
      if (a.coarse) return V::add(V::set(0.5f), odd_gate<V, SigmoidGate>(x));
      return V::div(one, V::add(one, exp_of_negative<V>(x)));
    case Int8Activation::swish:
      if (a.coarse) return gated<V, SigmoidGate>(a.alpha, x);
      return V::div(x, V::add(one, exp_of_negative<V>(V::mul(x, V::set(a.alpha)))));
    case Int8Activation::gelu: return gated<V, GaussGate>(1, x);
    case Int8Activation::gelu_tanh: return gated_by_tanh<V>(x);
    default: break;
  }
  const F gate = V::min(V::max(V::add(V::mul(x, V::set(a.alpha)), V::set(a.beta)), zero), one);
  return a.kind == Int8Activation::hard_sigmoid ? gate : V::mul(x, gate);
}

}  // namespace
}  // namespace pare
