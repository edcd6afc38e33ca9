#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/array.h"
#include "base/float16.h"

namespace pare {
namespace {

// Calls f with a value of the C++ type that stores `type`; throws where the type has no arithmetic here.
template <class F>
void with_type(Type type, F&& f) {
  switch (type) {
    case Type::f32: return f(float());
    case Type::f64: return f(double());
    case Type::f16: return f(Half());
    case Type::bf16: return f(BFloat16());
    case Type::i8: return f(int8_t());
    case Type::u8: return f(uint8_t());
    case Type::i16: return f(int16_t());
    case Type::u16: return f(uint16_t());
    case Type::i32: return f(int32_t());
    case Type::u32: return f(uint32_t());
    case Type::i64: return f(int64_t());
    case Type::u64: return f(uint64_t());
    case Type::boolean: return f(bool());
    default: throw Error("cast", "no arithmetic for elements of type " + std::string(type_text(type)));
  }
}

template <class T>
auto widen(T value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) return to_float(value);
  else return value;
}

// To float by rounding to odd: a second rounding to fewer bits then gives what one rounding would have given
// (Boldo, Melquiond 2008).
float to_odd(double value) {
  const auto nearest = float(value);
  if (!std::isfinite(nearest) || double(nearest) == value || (std::bit_cast<uint32_t>(nearest) & 1) != 0) return nearest;
  return std::nextafter(nearest, value > double(nearest) ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity());
}

template <class To, class From>
To narrow(From value) {
  if constexpr (std::is_same_v<To, Half>) return to_half(to_odd(double(value)));
  else if constexpr (std::is_same_v<To, BFloat16>) return to_bfloat16(to_odd(double(value)));
  else if constexpr (std::is_same_v<To, bool>) return value != From(0);
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Out of range is undefined in C++; go through int64 and wrap as the field's runtimes do.
    if (std::is_same_v<To, uint64_t> && value >= From(0x1p63)) return value < From(0x1p64) ? To(value) : std::numeric_limits<To>::max();
    if (!(std::abs(value) < From(9.2e18))) return std::isnan(value) ? To(0) : value < 0 ? std::numeric_limits<To>::min() : std::numeric_limits<To>::max();
    return To(int64_t(value));
  } else return To(value);
}

Array unpack4(const Array& source) {  // int4 and uint4 → int8
  Array wide(Type::i8, source.dims());
  auto out = wide.mutable_values<int8_t>();
  for (int64_t i = 0; i < source.count(); ++i) {
    const int nibble = (int(source.bytes()[i / 2]) >> (i % 2 * 4)) & 15;
    out[i] = int8_t(source.type() == Type::i4 && nibble > 7 ? nibble - 16 : nibble);
  }
  return wide;
}

Array pack4(const Array& wide, Type type) {
  Array packed(type, wide.dims());
  const std::vector<int64_t> values = wide.to_integers();
  std::byte* out = packed.mutable_bytes();
  for (size_t i = 0; i < values.size(); ++i) out[i / 2] |= std::byte((values[i] & 15) << (i % 2 * 4));
  return packed;
}

bool is_4bit(Type type) { return type == Type::i4 || type == Type::u4; }

}  // namespace

Array Array::cast(Type type) const {
  if (type == type_) return *this;
  if (is_4bit(type_)) return unpack4(*this).cast(type);
  if (is_4bit(type)) return pack4(cast(Type::i64), type);
  Array result(type, dims_);
  with_type(type_, [&]<class From>(From) {
    with_type(type, [&]<class To>(To) {
      auto in = values<From>();
      auto out = result.mutable_values<To>();
      for (size_t i = 0; i < in.size(); ++i) out[i] = narrow<To>(widen(in[i]));
    });
  });
  return result;
}

std::vector<float> Array::to_floats() const {
  const Array floats = cast(Type::f32);
  auto in = floats.values<float>();
  return {in.begin(), in.end()};
}

std::vector<int64_t> Array::to_integers() const {
  const Array integers = cast(Type::i64);
  auto in = integers.values<int64_t>();
  return {in.begin(), in.end()};
}

}  // namespace pare
