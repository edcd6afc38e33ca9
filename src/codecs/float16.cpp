// 16-bit floats: one part, the values themselves. Round to nearest even: |decoded − v| ≤ 2^-11·|v| (float16, normal
// range) or 2^-8·|v| (bfloat16).
#include "codecs/codecs.h"

namespace pare {
namespace {

Array decode(const Tensor& tensor) {
  check_tensor(tensor, "a weight");
  return tensor.parts[0].aligned().cast(Type::f32);
}

template <Type type>
Tensor encode(const Array& values, int, int64_t);

template <Type type>
std::string problem(const Tensor& tensor) {
  const bool sound = tensor.parts.size() == 1 && tensor.type == Type::f32 && tensor.parts[0].type() == type && tensor.parts[0].dims() == tensor.dims;
  return sound ? "" : "expected one part, of its extents and " + std::string(type_text(type));
}

double bits(const Tensor&) { return 16; }

int unfold(Graph& graph, const Tensor& tensor, const std::string& name) {
  const ValueId stored = graph.add_constant(name + "_h", Tensor(tensor.parts.at(0)));
  const ValueId result = graph.add_value(graph.unique_name(name), Type::f32, shape_of(tensor.dims));
  graph.add_node("Cast", {stored}, {result}).attributes["to"] = int64_t(Type::f32);
  return result;
}

template <Type type>
TensorPtr fold(const Graph& graph, const Node& node) {
  if (!node.is("Cast") || node.integer("to", 0) != int64_t(Type::f32)) return nullptr;
  const Tensor* stored = graph.constant(node.input(0));
  if (stored == nullptr || !stored->plain() || stored->type != type) return nullptr;
  Tensor tensor;
  tensor.type = Type::f32;
  tensor.dims = stored->dims;
  tensor.codec = type == Type::f16 ? &codec_float16 : &codec_bfloat16;
  tensor.parts = stored->parts;  // where they lie, in the file it may be
  return std::make_shared<const Tensor>(std::move(tensor));
}

template <Type type>
Tensor encode(const Array& values, int, int64_t) {
  Tensor tensor;
  tensor.type = Type::f32;
  tensor.dims = values.dims();
  tensor.codec = type == Type::f16 ? &codec_float16 : &codec_bfloat16;
  tensor.parts = {values.cast(type)};
  return tensor;
}

}  // namespace

const Codec codec_float16{"float16", "IEEE binary16", "[16 bit: sign, 5 exponent, 10 mantissa] x count", "none",
                          decode, encode<Type::f16>, bits, unfold, fold<Type::f16>};
const Codec codec_bfloat16{"bfloat16", "the upper half of a float32", "[16 bit: sign, 8 exponent, 7 mantissa] x count", "none",
                           decode, encode<Type::bf16>, bits, unfold, fold<Type::bf16>};

std::string problem_float16(const Tensor& tensor) { return problem<Type::f16>(tensor); }
std::string problem_bfloat16(const Tensor& tensor) { return problem<Type::bf16>(tensor); }

}  // namespace pare
