#include <limits>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

struct Range {
  double low, high;
};
// Of integers; nothing for small floats, which saturate in their own way.
std::optional<Range> range_of(Type type, const std::string& where) {
  switch (type) {
    case Type::u8: return Range{0, 255};
    case Type::i8: return Range{-128, 127};
    case Type::u16: return Range{0, 65535};
    case Type::i16: return Range{-32768, 32767};
    case Type::u4: return Range{0, 15};
    case Type::i4: return Range{-8, 7};
    case Type::u2: return Range{0, 3};
    case Type::i2: return Range{-2, 1};
    default:
      if (is_small_float(type) && type != Type::f8e8m0) return std::nullopt;
      throw Error(where, "quantizing to " + std::string(type_text(type)) + " is not supported");
  }
}

// For every element, the index of its scale: one for all, one per entry of `axis`, or one per block along it.
std::vector<int64_t> scale_index(const Node& node, const Dims& x, const Dims& scale) {
  std::vector<int64_t> at(size_t(count_of(x)), 0);
  if (count_of(scale) == 1) return at;
  const auto axis = size_t(normal_axis(node.integer("axis", 1), int64_t(x.size()), node.where()));
  const int64_t block = node.integer("block_size", 0);
  if (block < 0) throw Error(node.where(), "has blocks of " + std::to_string(block));
  if (block == 0 && (scale.size() != 1 || scale[0] != x[axis]))
    throw Error(node.where(), "scale " + dims_text(scale) + " does not fit axis " + std::to_string(axis) + " of " + dims_text(x));
  if (block != 0 && (scale.size() != x.size() || scale[axis] != (x[axis] - 1) / block + 1))
    throw Error(node.where(), "scale " + dims_text(scale) + " does not fit blocks of " + std::to_string(block) + " in " + dims_text(x));
  for (size_t k = 0; block != 0 && k < x.size(); ++k)
    if (k != axis && scale[k] != x[k]) throw Error(node.where(), "scale " + dims_text(scale) + " does not fit " + dims_text(x));
  const Dims strides = strides_of(x), scale_strides = block ? strides_of(scale) : Dims();
  for (size_t i = 0; i < at.size(); ++i) {
    if (block == 0) { at[i] = int64_t(i) / strides[axis] % x[axis]; continue; }
    for (size_t k = 0; k < x.size(); ++k) {
      const int64_t position = int64_t(i) / strides[k] % x[k];
      at[i] += (k == axis ? position / block : position) * scale_strides[k];
    }
  }
  return at;
}

std::vector<double> zeros_of(const Forward& f, size_t count) {
  if (!f.has(2)) return std::vector<double>(count, 0);
  check_count(f.node, f.in(2).count(), int64_t(count), "zero points");
  const Array zero = f.in(2).cast(Type::f64);
  return {zero.values<double>().begin(), zero.values<double>().end()};
}

Type quantized_type(const Node& node, Type zero) {
  if (zero != Type::none) return zero;
  if (const auto type = type_of_number(int(node.integer("output_dtype", 0)))) return *type;
  return Type::u8;
}
void infer_quantize(Inference& in) {
  const Type type = quantized_type(in.node(), in.type(2));
  in.set_type(0, type);
  if (const Shape* shape = in.shape(0)) in.set(0, type, *shape);
}
// y = saturate(round_half_even(x / scale) + zero), the division in f32 as the standard's runtimes do it, or in `precision`.
void forward_quantize(Forward& f) {
  const Array x = float_in(f, 0), scale = float_in(f, 1);
  const Type type = quantized_type(f.node, f.has(2) ? f.in(2).type() : Type::none);
  const auto range = range_of(type, f.node.where());
  const auto at = scale_index(f.node, x.dims(), scale.dims());
  const auto zero = zeros_of(f, size_t(scale.count()));
  const auto xs = x.values<float>(), scales = scale.values<float>();
  Array ratios(Type::f32, x.dims());
  auto ratio = ratios.mutable_values<float>();
  for (size_t i = 0; i < ratio.size(); ++i) ratio[i] = xs[i] / scales[size_t(at[i])];
  const auto precision = type_of_number(int(f.node.integer("precision", 0)));
  if (precision && is_float(*precision)) ratios = ratios.cast(*precision);
  Array y = ratios.cast(Type::f64);
  auto ys = y.mutable_values<double>();
  CastRule rule;
  rule.saturate = f.node.integer("saturate", 1) != 0;
  for (size_t i = 0; i < ys.size(); ++i) {
    const double shift = zero.at(size_t(at[i]));
    if (!range) ys[i] += shift;
    else ys[i] = std::clamp((std::isnan(ys[i]) ? 0 : std::nearbyint(ys[i])) + shift, range->low, range->high);
  }
  f.outputs[0] = y.cast(type, rule);
}

Type dequantized_type(const Node& node, Type scale) {
  const auto type = type_of_number(int(node.integer("output_dtype", 0)));
  return type ? *type : scale;
}
void infer_dequantize(Inference& in) {
  const Type type = dequantized_type(in.node(), in.type(1));
  in.set_type(0, type);
  if (const Shape* shape = in.shape(0)) in.set(0, type, *shape);
}
void forward_dequantize(Forward& f) {
  const Array scale = float_in(f, 1), x = f.in(0).cast(Type::f64);
  const auto at = scale_index(f.node, x.dims(), scale.dims());
  const auto zero = zeros_of(f, size_t(scale.count()));
  const auto scales = scale.values<float>();
  const auto xs = x.values<double>();
  Array y(Type::f32, x.dims());
  auto ys = y.mutable_values<float>();
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = float(xs[i] - zero.at(size_t(at[i]))) * scales[size_t(at[i])];
  f.outputs[0] = y.cast(dequantized_type(f.node, f.in(1).type()));
}

void infer_dynamic(Inference& in) {
  in.set_type(0, Type::u8);
  if (const Shape* shape = in.shape(0)) in.set(0, Type::u8, *shape);
  in.set(1, Type::f32, {});
  in.set(2, Type::u8, {});
}
// Scale and zero point from this tensor's own range, which always includes 0.
void forward_dynamic(Forward& f) {
  const Array x = float_in(f, 0);
  float low = 0, high = 0;
  for (float v : x.values<float>()) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const float scale = high == low ? 1.f : (high - low) / 255.f;
  const float zero = std::clamp(std::nearbyint(-low / scale), 0.f, 255.f);
  Array y(Type::u8, x.dims());
  auto ys = y.mutable_values<uint8_t>();
  const auto xs = x.values<float>();
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = uint8_t(std::clamp(std::nearbyint(xs[i] / scale) + zero, 0.f, 255.f));
  f.outputs = {y, Array::scalar<float>(scale), Array::scalar<uint8_t>(uint8_t(zero))};
}

}  // namespace

const Op op_quantize_linear{"QuantizeLinear", "", 2, 3, 1, 1, infer_quantize, forward_quantize, nullptr, "float to integer by scale and zero point", -1, links_quantize};
const Op op_dequantize_linear{"DequantizeLinear", "", 2, 3, 1, 1, infer_dequantize, forward_dequantize, nullptr, "integer to float by scale and zero point", -1, links_quantize};
const Op op_dynamic_quantize_linear{"DynamicQuantizeLinear", "", 1, 1, 3, 3, infer_dynamic, forward_dynamic, nullptr, "float to uint8 by the range of this input"};

}  // namespace pare
