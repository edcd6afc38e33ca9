#pragma once
// The epilogue one element at a time; what the vector versions must equal bit by bit. In an unnamed namespace, because
// files of several instruction sets include it.

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/int8_epilogue/int8_epilogue.h"

namespace pare {
namespace {

// a limited to [lo, hi]; the comparisons are those of maxps and minps, which differ from std::max for -0 and +0.
inline float limit_int8(float a, float lo, float hi) {
  a = a > lo ? a : lo;
  return a < hi ? a : hi;
}

// One output element at `index` of the NHWC output.
inline void store_int8_sum(const Int8Epilogue& e, void* output, std::size_t index, std::int32_t sum, float multiplier) {
  float v = static_cast<float>(sum) * multiplier;
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
  if (e.type == Int8Output::f32) {
    static_cast<float*>(output)[index] = limit_int8(v, e.float_lo, e.float_hi);
    return;
  }
  v = limit_int8(v, static_cast<float>(e.out_lo - e.out_zero), static_cast<float>(e.out_hi - e.out_zero));
  static_cast<std::uint8_t*>(output)[index] =
      static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(v)) + e.out_zero);
}

}  // namespace
}  // namespace pare
