#include "base/types.h"

namespace pare {
namespace {

struct TypeRow {
  Type type;
  std::string_view name, text;
  int bits;
};

constexpr TypeRow kTypes[] = {
#define TYPE(name, text, bits, number) {Type::name, #name, text, bits},
#include "base/types.inc"
#undef TYPE
};

}  // namespace

std::string_view type_text(Type type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return row.text;
  return "none";
}

int type_bits(Type type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return row.bits;
  return 0;
}

std::optional<Type> type_of_number(int number) {
  for (const TypeRow& row : kTypes)
    if (static_cast<int>(row.type) == number) return row.type;
  return std::nullopt;
}

std::optional<Type> type_of_text(std::string_view text) {
  for (const TypeRow& row : kTypes)
    if (row.text == text || row.name == text) return row.type;
  return std::nullopt;
}

bool is_float(Type type) {
  return type == Type::f32 || type == Type::f16 || type == Type::bf16 || type == Type::f64;
}

bool is_integer(Type type) {
  switch (type) {
    case Type::u8: case Type::i8: case Type::u16: case Type::i16: case Type::u32: case Type::i32:
    case Type::u64: case Type::i64: case Type::u4: case Type::i4: case Type::u2: case Type::i2:
      return true;
    default:
      return false;
  }
}

}  // namespace pare
