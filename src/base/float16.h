#pragma once
#include <bit>
#include <cstdint>

#include "base/types.h"

namespace pare {

// IEEE 754 binary16 and bfloat16 to and from float, round to nearest even, subnormals kept, NaN stays NaN.
inline float to_float(Half value) {
  // Without branches, so that loops over it become vectors. The exponents' biases are 112 apart; a product, unlike a sum of exponents, makes
  // subnormal numbers right too.
  const uint32_t sign = uint32_t(value.bits & 0x8000u) << 16, size = (value.bits & 0x7fffu) << 13, endless = size >= 0x0f800000u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(std::bit_cast<float>(size) * 0x1p112f) | endless | sign);
}

inline Half to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {uint16_t(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {uint16_t(sign | 0x7c00u)};  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {
    // Adding 0.5 aligns the subnormal's last place with float's, so that the addition itself rounds to nearest even.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return {uint16_t(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {uint16_t(sign | ((rounded - 0x38000000u) >> 13))};
}

inline float to_float(BFloat16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }

inline BFloat16 to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {uint16_t((bits >> 16) | 0x40u)};
  return {uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace pare
