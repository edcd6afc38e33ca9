#include "train/torch/arrays.h"

#include <cstring>

namespace pare {
namespace {

struct Pair {
  Type type;
  at::ScalarType scalar;
};
constexpr Pair kPairs[] = {{Type::f32, at::kFloat}, {Type::f64, at::kDouble}, {Type::u8, at::kByte},     {Type::i8, at::kChar},
                           {Type::i16, at::kShort}, {Type::i32, at::kInt},    {Type::i64, at::kLong},    {Type::boolean, at::kBool}};

at::Tensor copied(const Array& array) {
  for (const Pair& pair : kPairs) {
    if (pair.type != array.type()) continue;
    at::Tensor tensor = at::empty(array.dims(), pair.scalar);
    std::memcpy(tensor.data_ptr(), array.bytes(), array.size_bytes());
    return tensor;
  }
  PARE_CHECK(false);
}

bool is_shared(Type type) {
  for (const Pair& pair : kPairs)
    if (pair.type == type) return true;
  return false;
}

}  // namespace

at::Tensor tensor_of(const Array& array, at::ScalarType real) {
  if (is_float(array.type())) return copied(array.cast(real == at::kDouble ? Type::f64 : Type::f32));
  if (array.type() == Type::string) throw Error("training", "texts cannot be trained on", "give token ids");
  return copied(is_shared(array.type()) ? array : array.cast(Type::i64));
}

Array array_of(const at::Tensor& tensor, Type type) {
  const at::Tensor plain = tensor.detach().contiguous();
  for (const Pair& pair : kPairs) {
    if (pair.scalar != plain.scalar_type()) continue;
    Array array(pair.type, plain.sizes().vec());
    std::memcpy(array.mutable_bytes(), plain.data_ptr(), array.size_bytes());
    const Type wanted = type != Type::none ? type : pair.type == Type::f64 ? Type::f32 : pair.type;
    return array.cast(wanted);
  }
  PARE_CHECK(false);
}

std::vector<at::Tensor> cloned(std::vector<at::Tensor> tensors) {
  for (at::Tensor& tensor : tensors) tensor = tensor.clone();
  return tensors;
}

}  // namespace pare
