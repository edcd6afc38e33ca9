#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace pare {

enum class Type : uint8_t {
  none = 0,
#define TYPE(name, text, bits, number) name = number,
#include "base/types.inc"
#undef TYPE
};

std::string_view type_text(Type type);              // "float32", "none" where unknown
int type_bits(Type type);                           // 0 for strings and none
std::optional<Type> type_of_number(int number);     // ONNX's number
std::optional<Type> type_of_text(std::string_view text);  // "float32" or the short "f32"
bool is_float(Type type);                           // f16, bf16, f32, f64
bool is_integer(Type type);                         // signed and unsigned, without bool

// 16-bit floats travel as their bits; see float16.h for arithmetic.
struct Half {
  uint16_t bits = 0;
};
struct BFloat16 {
  uint16_t bits = 0;
};

template <class T>
struct TypeOf;
template <> struct TypeOf<float> { static constexpr Type value = Type::f32; };
template <> struct TypeOf<double> { static constexpr Type value = Type::f64; };
template <> struct TypeOf<uint8_t> { static constexpr Type value = Type::u8; };
template <> struct TypeOf<int8_t> { static constexpr Type value = Type::i8; };
template <> struct TypeOf<uint16_t> { static constexpr Type value = Type::u16; };
template <> struct TypeOf<int16_t> { static constexpr Type value = Type::i16; };
template <> struct TypeOf<uint32_t> { static constexpr Type value = Type::u32; };
template <> struct TypeOf<int32_t> { static constexpr Type value = Type::i32; };
template <> struct TypeOf<uint64_t> { static constexpr Type value = Type::u64; };
template <> struct TypeOf<int64_t> { static constexpr Type value = Type::i64; };
template <> struct TypeOf<bool> { static constexpr Type value = Type::boolean; };
template <> struct TypeOf<Half> { static constexpr Type value = Type::f16; };
template <> struct TypeOf<BFloat16> { static constexpr Type value = Type::bf16; };

}  // namespace pare
