#pragma once
// The epilogue one element at a time; what the vector versions must equal bit by bit. In an unnamed namespace, because
// files of several instruction sets include it.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/int8_epilogue/activation.h"

namespace pare {
namespace {

// a limited to [lo, hi]; the comparisons are those of maxps and minps, which differ from std::max for -0 and +0.
inline float limit_int8(float a, float lo, float hi) {
  a = a > lo ? a : lo;
  return a < hi ? a : hi;
}

// The largest magnitude of an activation's result where inputs stay below `most`.
inline float most_after(const Int8Activation& a, float most) {
  if (a.kind == Int8Activation::none) return most;
  const float slope = a.kind == Int8Activation::leaky_relu ? std::fmax(1.0f, std::fabs(a.alpha))
                                                           : 1.0f;  // all others': gates of 0 to 1
  return std::fmax(1.0f, most) * slope * std::fabs(a.scale);
}

// Whether no value before the output's limits can leave the range of int32, where no multiplier exceeds `multiplier` in
// magnitude.
inline bool bounded_int8_values(const Int8Epilogue& e, float multiplier) {
  constexpr float kSteps = 510;  // between bytes and their zero points
  float most = most_after(e.first, multiplier * e.most_sum);
  if (e.has_mid) most = kSteps * std::fabs(e.mid_scale);
  if (e.residual) most += kSteps * std::fabs(e.residual_scale);
  return most_after(e.last, most) < 1073741824.0f;
}

// One float, for activation.h.
struct Float1 {
  using F = float;
  static F set(float x) { return x; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return std::fma(a, b, c); }
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  // 2^n, n in the low bits of 1.5 * 2^23 + n.
  static F power_of_two(F shifted) {
    std::uint32_t bits;
    std::memcpy(&bits, &shifted, 4);
    bits = (bits << 23) + 0x3f800000u;
    std::memcpy(&shifted, &bits, 4);
    return shifted;
  }
};

inline float apply_int8_activation(const Int8Activation& a, float v) {
  return a.kind == Int8Activation::none ? v : activated<Float1>(a, v) * a.scale;
}

// One output element at `index` of the NHWC output.
inline void store_int8_sum(const Int8Epilogue& e, void* output, std::size_t index, std::int32_t sum, float multiplier) {
  float v = static_cast<float>(sum) * multiplier;
  v = apply_int8_activation(e.first, v);
  if (e.has_mid) {
    // Limits are integers, so limiting before rounding is the same and cannot overflow.
    v = limit_int8(v, static_cast<float>(e.mid_lo - e.mid_zero), static_cast<float>(e.mid_hi - e.mid_zero));
    v = static_cast<float>(static_cast<int>(std::nearbyint(v))) * e.mid_scale;
  }
  if (e.residual) {
    const int r = e.residual_signed ? static_cast<const std::int8_t*>(e.residual)[index]
                                    : static_cast<const std::uint8_t*>(e.residual)[index];
    v = v + static_cast<float>(r - e.residual_zero) * e.residual_scale;
  }
  v = apply_int8_activation(e.last, v);
  if (e.type == Int8Output::f32) {
    static_cast<float*>(output)[index] = limit_int8(v, e.float_lo, e.float_hi);
    return;
  }
  v = limit_int8(v, static_cast<float>(e.out_lo - e.out_zero), static_cast<float>(e.out_hi - e.out_zero));
  const auto byte = static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(v)) + e.out_zero);
  static_cast<std::uint8_t*>(output)[index] = e.table ? e.table[byte] : byte;
}

}  // namespace
}  // namespace pare
