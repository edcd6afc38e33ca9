#pragma once
#include <ATen/ATen.h>

#include <optional>
#include <utility>

#include "base/types.h"

namespace pare {

// To the nearest whole number, halves to even; the gradient passes as if nothing had happened.
inline at::Tensor round_through(const at::Tensor& x) { return x + (at::round(x.detach()) - x.detach()); }

// The least and the largest number of an integer type of up to 16 bits.
inline std::optional<std::pair<double, double>> integer_range(Type type) {
  if (!is_integer(type) || type_bits(type) > 16) return std::nullopt;
  const double count = double(int64_t(1) << type_bits(type));
  const bool is_signed = type == Type::i2 || type == Type::i4 || type == Type::i8 || type == Type::i16;
  return is_signed ? std::pair(-count / 2, count / 2 - 1) : std::pair(0.0, count - 1);
}

}  // namespace pare
