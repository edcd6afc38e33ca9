#pragma once
// pare's arrays as libtorch's tensors and back. Always copies: neither side may see the other change its bytes.
#include <ATen/ATen.h>

#include <vector>

#include "base/array.h"

namespace pare {

// Floats of any width become `real` (kFloat or kDouble); integers that libtorch lacks (below 8 bits, unsigned from 16)
// become int64. Throws Error for strings.
at::Tensor tensor_of(const Array& array, at::ScalarType real);
// As `type`; none: float32 for floats, int64, bool and so on as they are.
Array array_of(const at::Tensor& tensor, Type type = Type::none);

// With memory of their own.
std::vector<at::Tensor> cloned(std::vector<at::Tensor> tensors);

}  // namespace pare
