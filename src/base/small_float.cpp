#include "base/small_float.h"

#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace pare {
namespace {

// Sign, exponent, mantissa. Codes are without the sign bit; 0xff: the format has none. `unsigned_zero` formats use the
// code of −0 for NaN.
struct Format {
  Type type;
  int bits, mantissa, bias;
  uint8_t largest, infinity, nan;
  bool unsigned_zero;
};
constexpr uint8_t kAbsent = 0xff;
constexpr Format kFormats[] = {
    {Type::f8e4m3fn, 8, 3, 7, 0x7e, kAbsent, 0x7f, false},
    {Type::f8e4m3fnuz, 8, 3, 8, 0x7f, kAbsent, kAbsent, true},
    {Type::f8e5m2, 8, 2, 15, 0x7b, 0x7c, 0x7e, false},
    {Type::f8e5m2fnuz, 8, 2, 16, 0x7f, kAbsent, kAbsent, true},
    {Type::f4e2m1, 4, 1, 1, 0x07, kAbsent, kAbsent, false},
};

const Format* format_of(Type type) {
  for (const Format& format : kFormats)
    if (format.type == type) return &format;
  return nullptr;
}

// A power of two without sign: code − 127 is the exponent, 255 is NaN. Zero and what is below become the least, 2^-127.
uint8_t float_to_e8m0(float value, CastRule rule) {
  const uint32_t bits = std::bit_cast<uint32_t>(value) & 0x7fffffffu, fraction = bits & 0x7fffffu;
  const uint32_t exponent = bits >> 23;
  if (exponent == 255) return 255;
  const bool half_up = fraction > 0x400000u || (fraction == 0x400000u && exponent > 0);  // as the onnx package rounds
  const bool up = rule.e8m0 == CastRule::Round::up ? fraction > 0 : rule.e8m0 == CastRule::Round::nearest && half_up;
  return uint8_t(up && !(rule.saturate && exponent == 254) ? exponent + 1 : exponent);
}

}  // namespace

bool is_small_float(Type type) { return type == Type::f8e8m0 || format_of(type) != nullptr; }

float small_to_float(Type type, uint8_t code) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  if (type == Type::f8e8m0) return code == 255 ? nan : std::ldexp(1.f, int(code) - 127);
  const Format* format = format_of(type);
  PARE_CHECK(format != nullptr);
  const int sign_bit = 1 << (format->bits - 1), magnitude = code & (sign_bit - 1);
  const bool negative = (code & sign_bit) != 0;
  if (format->unsigned_zero && code == sign_bit) return nan;
  float value;
  if (magnitude == format->infinity) value = std::numeric_limits<float>::infinity();
  else if (magnitude > format->largest) value = nan;
  else if (const int exponent = magnitude >> format->mantissa; exponent == 0) value = std::ldexp(float(magnitude), 1 - format->bias - format->mantissa);
  else value = std::ldexp(float((magnitude & ((1 << format->mantissa) - 1)) + (1 << format->mantissa)), exponent - format->bias - format->mantissa);
  return negative ? -value : value;
}

uint8_t float_to_small(Type type, float value, CastRule rule) {
  if (type == Type::f8e8m0) return float_to_e8m0(value, rule);
  const Format* format = format_of(type);
  PARE_CHECK(format != nullptr);
  const auto sign_bit = uint8_t(1 << (format->bits - 1));
  const uint8_t sign = std::signbit(value) ? sign_bit : 0;
  const uint8_t nan = format->nan == kAbsent ? sign_bit : uint8_t(sign | format->nan);  // float4 has no NaN: −0 stands for it
  if (std::isnan(value)) return nan;
  int code = format->largest + 1;
  if (std::isfinite(value) && value != 0) {
    // In steps of the value's last place; the leading bit carries into the exponent, also when rounding reaches the next power.
    const int exponent = std::max(std::ilogb(value), 1 - format->bias);
    const double steps = std::nearbyint(std::ldexp(std::abs(double(value)), format->mantissa - exponent));
    const double wide = std::ldexp(double(exponent + format->bias - 1), format->mantissa) + steps;
    code = wide > format->largest ? code : int(wide);
  } else if (value == 0) {
    code = 0;
  }
  if (code > format->largest) {
    const bool finite = rule.saturate || format->bits < 8;
    if (!finite && format->infinity == kAbsent) return nan;
    code = finite ? format->largest : format->infinity;
  }
  if (code == 0 && format->unsigned_zero) return 0;
  return uint8_t(sign | code);
}

}  // namespace pare
