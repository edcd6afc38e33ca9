// Integers with a scale and a zero point: logical = (q − zero) · scale, as ONNX's DequantizeLinear.
// Parts: values, scale (f32), and the zero point (type of the values) where it is not 0 everywhere.
// Scales: one in all, one per entry of `axis`, or one per `group` elements along `axis` (then of the values' rank).
// Nearest symmetric encoding: scale = max|v| / most, so |decoded − v| ≤ scale / 2 everywhere.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codecs/codecs.h"

namespace pare {
namespace {

// Index of the scale of element i, for the three forms of scales.
int64_t scale_index(const Tensor& tensor, int64_t i) {
  const Array& scale = tensor.parts[1];
  if (scale.count() == 1) return 0;
  int64_t inner = 1;
  for (size_t k = size_t(tensor.axis) + 1; k < tensor.dims.size(); ++k) inner *= tensor.dims[k];
  const int64_t extent = tensor.dims[size_t(tensor.axis)], along = i / inner % extent;
  if (tensor.group == 0) return along;
  const int64_t blocks = (extent + tensor.group - 1) / tensor.group;
  return (i / inner / extent * blocks + along / tensor.group) * inner + i % inner;
}

Array decode(const Tensor& tensor) {
  check_tensor(tensor, "a weight");
  const Array wide = tensor.parts[0].aligned().cast(Type::i32);
  const auto q = wide.values<int32_t>();
  const std::vector<float> scale = tensor.parts[1].to_floats();
  std::vector<int64_t> zero(scale.size(), 0);
  if (tensor.parts.size() > 2) zero = tensor.parts[2].to_integers();
  Array values(Type::f32, tensor.dims);
  auto out = values.mutable_values<float>();
  for (size_t i = 0; i < out.size(); ++i) {
    const auto s = size_t(scale_index(tensor, int64_t(i)));
    out[i] = float(q[i] - zero.at(s)) * scale[s];
  }
  return values;
}

// The extents of scales: one for each place along the axis, or each group of them.
Dims scale_extents(const Dims& dims, int64_t axis, int64_t group) {
  if (group == 0) return {dims[size_t(axis)]};
  Dims extents = dims;
  extents[size_t(axis)] = extents[size_t(axis)] / group + (extents[size_t(axis)] % group != 0);
  return extents;
}

template <Type type>
std::string problem(const Tensor& tensor) {
  if (tensor.parts.size() < 2 || tensor.parts.size() > 3) return fmt::format("it has {} parts, expected values, scales and perhaps zero points", tensor.parts.size());
  const Array &values = tensor.parts[0], &scale = tensor.parts[1];
  if (tensor.type != Type::f32 || values.type() != type || scale.type() != Type::f32)
    return fmt::format("it is {}, values {}, scales {}; expected float32, {}, float32", type_text(tensor.type), type_text(values.type()), type_text(scale.type()), type_text(type));
  if (values.dims() != tensor.dims) return fmt::format("its values are {}", dims_text(values.dims()));
  if (scale.count() != 1) {
    if (tensor.axis < 0 || tensor.axis >= int(tensor.dims.size()) || tensor.group < 0)
      return fmt::format("its scales run along axis {} in groups of {}", tensor.axis, tensor.group);
    if (const Dims expected = scale_extents(tensor.dims, tensor.axis, tensor.group); scale.dims() != expected)
      return fmt::format("its scales are {}, expected {}", dims_text(scale.dims()), dims_text(expected));
  }
  if (tensor.parts.size() > 2 && (tensor.parts[2].type() != type || tensor.parts[2].count() != scale.count()))
    return fmt::format("its zero points are {} {}, expected {} of {}", tensor.parts[2].count(), type_text(tensor.parts[2].type()), scale.count(), type_text(type));
  return "";
}

double bits(const Tensor& tensor) {
  return tensor.count() == 0 ? 0 : 8.0 * double(tensor.size_bytes()) / double(tensor.count());
}

int unfold(Graph& graph, const Tensor& tensor, const std::string& name) {
  const Array& scale = tensor.parts[1];
  std::vector<ValueId> inputs{graph.add_constant(name + "_q", Tensor(tensor.parts[0])), graph.add_constant(name + "_s", Tensor(scale))};
  // Runtimes fuse quantized layers only where the zero point is written out; for int32 biases it may be left out.
  if (tensor.parts.size() > 2) inputs.push_back(graph.add_constant(name + "_z", Tensor(tensor.parts[2])));
  else if (tensor.parts[0].type() != Type::i32) inputs.push_back(graph.add_constant(name + "_z", Tensor(Array(tensor.parts[0].type(), scale.dims()))));
  const ValueId result = graph.add_value(graph.unique_name(name), Type::f32, shape_of(tensor.dims));
  Node& node = graph.add_node("DequantizeLinear", inputs, {result});
  if (scale.count() > 1 || scale.rank() > 0) node.attributes["axis"] = int64_t(tensor.axis);
  if (tensor.group > 0) node.attributes["block_size"] = tensor.group;
  return result;
}

bool all_zero(const Array& array) {
  const std::vector<int64_t> values = array.to_integers();
  return std::all_of(values.begin(), values.end(), [](int64_t v) { return v == 0; });
}

template <Type type>
TensorPtr fold(const Graph& graph, const Node& node) {
  if (!node.is("DequantizeLinear")) return nullptr;
  const Tensor *values = graph.constant(node.input(0)), *scale = graph.constant(node.input(1)), *zero = graph.constant(node.input(2));
  if (values == nullptr || scale == nullptr || (node.input(2) != kNone && zero == nullptr)) return nullptr;
  if (!values->plain() || !scale->plain() || values->type != type || scale->type != Type::f32) return nullptr;
  if (zero != nullptr && (!zero->plain() || zero->type != type || zero->count() != scale->count())) return nullptr;
  const int64_t rank = int64_t(values->dims.size()), axis = node.integer("axis", 1), group = node.integer("block_size", 0);
  const int64_t positive = axis < 0 ? axis + rank : axis;
  if (scale->count() > 1) {
    if (positive < 0 || positive >= rank || group < 0) return nullptr;
    if (scale->dims != scale_extents(values->dims, positive, group)) return nullptr;
  }
  // Bytes stay where they lie, in the file it may be; larger elements are aligned.
  const Array stored = type_bits(type) <= 8 ? values->parts[0] : values->array();
  return std::make_shared<const Tensor>(affine_tensor(stored, scale->array(), zero ? zero->array() : Array(), int(scale->count() > 1 ? positive : 0), group));
}

// The largest magnitude per scale, then nearest integers; symmetric, so that zero needs no storage.
template <Type type>
Tensor encode(const Array& values, int axis, int64_t group) {
  const double most = type == Type::i8 ? 127 : type == Type::i4 ? 7 : type == Type::i2 ? 1 : type == Type::i32 ? 2147483647.0 : 0;
  if (most == 0) throw Error("codec", std::string(type_text(type)) + " holds files' weights as they are; it is not encoded to");
  Tensor tensor;
  tensor.type = Type::f32;
  tensor.dims = values.dims();
  tensor.axis = axis;
  tensor.group = group;
  tensor.codec = type == Type::i8 ? &codec_int8 : type == Type::i4 ? &codec_int4 : type == Type::i2 ? &codec_int2 : &codec_int32;
  const Dims scale_dims = axis >= 0 && !tensor.dims.empty() ? scale_extents(tensor.dims, axis, group) : Dims{};
  tensor.axis = std::max(axis, 0);
  Array scale(Type::f32, scale_dims);
  tensor.parts = {Array(), scale};
  const auto v = values.values<float>();
  auto s = scale.mutable_values<float>();
  std::vector<int64_t> at(v.size());
  for (size_t i = 0; i < v.size(); ++i) {
    at[i] = scale_index(tensor, int64_t(i));
    s[size_t(at[i])] = std::max(s[size_t(at[i])], std::abs(v[i]));
  }
  for (float& step : s) step = step == 0 ? 1.f : float(step / most);
  Array wide(Type::i32, tensor.dims);
  auto q = wide.mutable_values<int32_t>();
  for (size_t i = 0; i < v.size(); ++i) q[i] = int32_t(std::clamp(std::nearbyint(double(v[i]) / s[size_t(at[i])]), -most, most));
  tensor.parts = {wide.cast(type), scale};
  return tensor;
}

}  // namespace

Tensor affine_tensor(Array values, Array scale, Array zero, int axis, int64_t group) {
  Tensor tensor;
  tensor.type = Type::f32;
  tensor.dims = values.dims();
  tensor.axis = axis;
  tensor.group = group;
  for (const Codec* codec : {&codec_int8, &codec_uint8, &codec_int4, &codec_uint4, &codec_int2, &codec_int32})
    if (type_text(values.type()) == codec->name) tensor.codec = codec;
  PARE_CHECK(tensor.codec != nullptr);
  tensor.parts = {std::move(values), std::move(scale)};
  if (!zero.empty() && !all_zero(zero)) tensor.parts.push_back(std::move(zero));
  return tensor;
}

Tensor int32_tensor(const Array& values, Array scale) {
  constexpr double kMost = 2147483647.0;
  Array integers(Type::i32, values.dims());
  auto q = integers.mutable_values<int32_t>();
  const auto v = values.values<float>(), s = std::as_const(scale).values<float>();
  for (size_t i = 0; i < q.size(); ++i) q[i] = int32_t(std::clamp(std::nearbyint(double(v[i]) / s[s.size() == 1 ? 0 : i]), -kMost, kMost));
  return affine_tensor(std::move(integers), std::move(scale), Array(), 0);
}

#define AFFINE(name, type, summary, layout) \
  const Codec codec_##name{#name, summary, layout, "axis: the axis scales run along (-1: one scale); group: elements that share a scale", \
                           decode, encode<type>, bits, unfold, fold<type>}; \
  std::string problem_##name(const Tensor& tensor) { return problem<type>(tensor); }
AFFINE(int8, Type::i8, "8-bit integers, scale per channel", "values [int8] x count | scale [float32] x scales | zero [int8] x scales, if any")
AFFINE(uint8, Type::u8, "unsigned 8-bit integers with a zero point", "values [uint8] x count | scale [float32] x scales | zero [uint8] x scales, if any")
AFFINE(int4, Type::i4, "4-bit integers, two a byte, the first in the low half", "values [2 x int4] x count/2 | scale [float32] x scales | zero [int4] x scales, if any")
AFFINE(uint4, Type::u4, "unsigned 4-bit integers with a zero point", "values [2 x uint4] x count/2 | scale [float32] x scales | zero [uint4] x scales, if any")
AFFINE(int2, Type::i2, "2-bit integers, four a byte, the first in the lowest bits", "values [4 x int2] x count/4 | scale [float32] x scales | zero [int2] x scales, if any")
AFFINE(int32, Type::i32, "32-bit integers, for the biases of integer layers", "values [int32] x count | scale [float32] x scales")
#undef AFFINE

}  // namespace pare
