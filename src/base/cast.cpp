#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/array.h"
#include "base/float16.h"
#include "base/small_float.h"

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

// Types without a C++ type of their own: integers below 8 bits and small floats. They pass through int8 and float.
bool is_packed_integer(Type type) { return type == Type::i4 || type == Type::u4 || type == Type::i2 || type == Type::u2; }

uint8_t code_at(const Array& array, int64_t i) {
  const int bits = type_bits(array.type()), per_byte = 8 / bits;
  return uint8_t((int(array.bytes()[i / per_byte]) >> (i % per_byte * bits)) & ((1 << bits) - 1));
}

void set_code(std::byte* out, int bits, int64_t i, uint8_t code) {
  const int per_byte = 8 / bits;
  out[i / per_byte] |= std::byte(code << (i % per_byte * bits));
}

Array unpack_integers(const Array& source) {
  const int bits = type_bits(source.type()), top = 1 << (bits - 1);
  const bool is_signed = source.type() == Type::i4 || source.type() == Type::i2;
  Array wide(Type::i8, source.dims());
  auto out = wide.mutable_values<int8_t>();
  for (int64_t i = 0; i < source.count(); ++i) {
    const int code = code_at(source, i);
    out[size_t(i)] = int8_t(is_signed && code >= top ? code - 2 * top : code);
  }
  return wide;
}

Array pack_integers(const Array& wide, Type type) {
  Array packed(type, wide.dims());
  const int bits = type_bits(type);
  const auto values = wide.values<int64_t>();
  std::byte* out = packed.mutable_bytes();
  for (int64_t i = 0; i < wide.count(); ++i) set_code(out, bits, i, uint8_t(values[size_t(i)] & ((1 << bits) - 1)));
  return packed;
}

Array unpack_floats(const Array& source) {
  std::vector<float> table(size_t(1) << type_bits(source.type()));
  for (size_t code = 0; code < table.size(); ++code) table[code] = small_to_float(source.type(), uint8_t(code));
  Array wide(Type::f32, source.dims());
  auto out = wide.mutable_values<float>();
  for (int64_t i = 0; i < source.count(); ++i) out[size_t(i)] = table[code_at(source, i)];
  return wide;
}

Array pack_floats(const Array& source, Type type, CastRule rule) {
  Array packed(type, source.dims());
  const int bits = type_bits(type);
  std::byte* out = packed.mutable_bytes();
  with_type(source.type(), [&]<class From>(From) {
    const auto in = source.values<From>();
    for (size_t i = 0; i < in.size(); ++i) set_code(out, bits, int64_t(i), float_to_small(type, to_odd(double(widen(in[i]))), rule));
  });
  return packed;
}

}  // namespace

Array Array::cast(Type type, CastRule rule) const {
  if (type == type_) return *this;
  if (is_packed_integer(type_)) return unpack_integers(*this).cast(type, rule);
  if (is_small_float(type_)) return unpack_floats(*this).cast(type, rule);
  if (is_packed_integer(type)) return pack_integers(cast(Type::i64), type);
  if (is_small_float(type)) return pack_floats(*this, type, rule);
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
