// Matrix products and convolutions of 8-bit integers, each with a scale and a zero point (the QLinear form) or with a zero
// point alone (the Integer form). Sums are exact; rescaling is one multiplication in float32.
#include "graph/ops/ops.h"

namespace pare {
namespace {

// Input `i` minus the zero point in input `zero`: one for all, or one per entry of `axis`. int64.
Array shifted(const Forward& f, size_t i, size_t zero, int64_t axis) {
  Array x = f.in(i).cast(Type::i64);
  if (!f.has(zero)) return x;
  const std::vector<int64_t> zeros = f.in(zero).to_integers();
  const bool per_entry = zeros.size() != 1;
  if (per_entry) check_count(f.node, int64_t(zeros.size()), x.dims().at(size_t(normal_axis(axis, x.rank(), f.node.where()))), "zero points");
  const Lines lines = per_entry ? lines_of(x.dims(), normal_axis(axis, x.rank(), f.node.where())) : Lines();
  auto xs = x.mutable_values<int64_t>();
  for (size_t k = 0; k < xs.size(); ++k) xs[k] -= per_entry ? zeros[size_t(int64_t(k) / lines.inner % lines.extent)] : zeros[0];
  return x;
}
// A matrix's rows (-2) or columns (-1); a vector has one of both.
int64_t line_axis(const Array& x, int64_t axis) { return x.rank() > 1 ? axis : 0; }

Array product(const Forward& f, size_t a, size_t a_zero, size_t b, size_t b_zero) {
  const Array x = shifted(f, a, a_zero, line_axis(f.in(a), -2)), y = shifted(f, b, b_zero, line_axis(f.in(b), -1));
  return multiply_integers(f.node, x, y);
}
// Integers below 2^24 are exact as f32, and so are their products' sums in double.
Array convolution(const Forward& f, size_t x, size_t x_zero, size_t w, size_t w_zero) {
  return convolve(f.node, shifted(f, x, x_zero, 1).cast(Type::f32), shifted(f, w, w_zero, 0).cast(Type::f32), {});
}

void forward_matmul_integer(Forward& f) { f.outputs[0] = product(f, 0, 2, 1, 3).cast(Type::i32); }
void forward_conv_integer(Forward& f) { f.outputs[0] = convolution(f, 0, 2, 1, 3).cast(Type::i32); }

// y = saturate(round_half_even(sums · x_scale · w_scale / y_scale) + y_zero); w_scale one for all or one per entry of `axis`.
Array rescaled(const Forward& f, const Array& sums, size_t x_scale, size_t w_scale, size_t y_scale, int64_t axis) {
  const auto from = f.in(x_scale).to_floats(), weights = f.in(w_scale).to_floats(), to = f.in(y_scale).to_floats();
  check_count(f.node, int64_t(from.size()), 1, "scales of the first factor");
  check_count(f.node, int64_t(to.size()), 1, "scales of the result");
  const bool per_entry = weights.size() != 1;
  const int64_t at = per_entry ? normal_axis(axis, sums.rank(), f.node.where()) : 0;
  if (per_entry) check_count(f.node, int64_t(weights.size()), sums.dims()[size_t(at)], "scales of the second factor");
  const Lines lines = lines_of(sums.dims(), at);
  const Type type = f.in(y_scale + 1).type();
  if (type != Type::u8 && type != Type::i8) throw Error(f.node.where(), "has a zero point of type " + std::string(type_text(type)) + ", expected uint8 or int8");
  const double low = type == Type::u8 ? 0 : -128, high = type == Type::u8 ? 255 : 127, zero = scalar_of(f, y_scale + 1);
  Array y = sums;
  auto ys = y.mutable_values<double>();
  for (size_t k = 0; k < ys.size(); ++k) {
    const float scale = from[0] * weights[per_entry ? size_t(int64_t(k) / lines.inner % lines.extent) : 0] / to[0];
    const double scaled = std::nearbyint(double(float(ys[k]) * scale));
    ys[k] = std::isnan(scaled) ? zero : std::clamp(scaled + zero, low, high);
  }
  return y.cast(type);
}

// a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero
void forward_qlinear_matmul(Forward& f) { f.outputs[0] = rescaled(f, product(f, 0, 2, 3, 5).cast(Type::f64), 1, 4, 6, -1); }
// x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias (int32, of scale x_scale · w_scale)
void forward_qlinear_conv(Forward& f) {
  Array sums = convolution(f, 0, 2, 3, 5);
  if (f.has(8)) {
    const std::vector<int64_t> bias = f.in(8).to_integers();
    check_count(f.node, int64_t(bias.size()), sums.dim(1), "biases");
    const Lines lines = lines_of(sums.dims(), 1);
    auto s = sums.mutable_values<double>();
    for (size_t k = 0; k < s.size(); ++k) s[k] += double(bias[size_t(int64_t(k) / lines.inner % lines.extent)]);
  }
  f.outputs[0] = rescaled(f, sums, 1, 4, 6, 1);
}

void infer_product(Inference& in, size_t b, Type type) {
  in.set_type(0, type);
  if (const auto dims = product_dims(in, 0, b)) in.set(0, type, shape_of(*dims));
}
void infer_matmul_integer(Inference& in) { infer_product(in, 1, Type::i32); }
void infer_qlinear_matmul(Inference& in) { infer_product(in, 3, in.type(7)); }
void infer_conv_integer(Inference& in) { infer_convolution(in, 1, Type::i32); }
void infer_qlinear_conv(Inference& in) { infer_convolution(in, 3, in.type(7)); }

int64_t macs_product(const Node&, std::span<const Dims> in, std::span<const Dims> out) {
  return in[0].empty() ? 0 : count_of(out[0]) * in[0].back();
}
template <size_t weight>
int64_t macs_conv(const Node&, std::span<const Dims> in, std::span<const Dims> out) {
  return in[weight].empty() ? 0 : count_of(out[0]) * count_of({in[weight].begin() + 1, in[weight].end()});
}

}  // namespace

const Op op_matmul_integer{"MatMulInteger", "", 2, 4, 1, 1, infer_matmul_integer, forward_matmul_integer, macs_product,
                           "matrix product of 8-bit integers into int32", 1};
const Op op_conv_integer{"ConvInteger", "", 2, 4, 1, 1, infer_conv_integer, forward_conv_integer, macs_conv<1>, "convolution of 8-bit integers into int32", 1};
const Op op_qlinear_matmul{"QLinearMatMul", "", 8, 8, 1, 1, infer_qlinear_matmul, forward_qlinear_matmul, macs_product,
                           "matrix product of 8-bit integers with scales and zero points", 3};
const Op op_qlinear_conv{"QLinearConv", "", 8, 9, 1, 1, infer_qlinear_conv, forward_qlinear_conv, macs_conv<3>,
                         "convolution of 8-bit integers with scales and zero points", 3};

}  // namespace pare
