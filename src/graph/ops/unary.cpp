#include <limits>

#include "graph/ops/ops.h"

namespace pare {
namespace {

// y = f(x, node) element by element, computed in double and rounded once.
template <class F>
void map(Forward& f, F function) {
  const Array x = f.in(0);
  Array y = x.cast(Type::f64);
  for (double& v : y.mutable_values<double>()) v = function(v);
  f.outputs[0] = y.cast(x.type());
}

#define UNARY(id, expression)                                       \
  void forward_##id(Forward& f) {                                   \
    map(f, [](double x) -> double { return expression; });          \
  }
UNARY(relu, x < 0 ? 0 : x)
UNARY(sigmoid, 1 / (1 + std::exp(-x)))
UNARY(tanh, std::tanh(x))
UNARY(hard_swish, x * std::min(std::max(x / 6 + 0.5, 0.0), 1.0))
UNARY(exp, std::exp(x))
UNARY(log, std::log(x))
UNARY(sqrt, std::sqrt(x))
UNARY(neg, -x)
UNARY(abs, std::abs(x))
UNARY(erf, std::erf(x))
UNARY(floor, std::floor(x))
UNARY(ceil, std::ceil(x))
UNARY(reciprocal, 1 / x)
UNARY(softplus, x > 30 ? x : std::log1p(std::exp(x)))
#undef UNARY

void forward_leaky_relu(Forward& f) {
  const double alpha = f.node.real("alpha", 0.01f);
  map(f, [alpha](double x) { return x < 0 ? alpha * x : x; });
}
void forward_elu(Forward& f) {
  const double alpha = f.node.real("alpha", 1);
  map(f, [alpha](double x) { return x < 0 ? alpha * std::expm1(x) : x; });
}
void forward_hard_sigmoid(Forward& f) {
  const double alpha = f.node.real("alpha", 0.2f), beta = f.node.real("beta", 0.5f);
  map(f, [=](double x) { return std::min(std::max(alpha * x + beta, 0.0), 1.0); });
}
void forward_prelu(Forward& f) {
  const Array slope = float_in(f, 1);
  Array y = float_in(f, 0);
  check_fits(slope.dims(), y.dims(), f.node.where());
  auto ys = y.mutable_values<float>();
  const auto slopes = slope.values<float>();
  for_each_index(y.dims(), broadcast_strides(slope.dims(), y.dims()), [&](int64_t i, int64_t at) {
    if (ys[size_t(i)] < 0) ys[size_t(i)] *= slopes[size_t(at)];
  });
  float_out(f, 0, y);
}

// Bounds are inputs from opset 11 on, attributes before.
void forward_clip(Forward& f) {
  auto bound = [&](size_t i, const char* key, double fallback) {
    if (f.has(i)) return scalar_of(f, i);
    return f.node.has(key) ? double(f.node.real(key, 0)) : fallback;
  };
  const double low = bound(1, "min", -std::numeric_limits<double>::infinity()), high = bound(2, "max", std::numeric_limits<double>::infinity());
  map(f, [=](double x) { return std::min(std::max(x, low), high); });
}

void infer_dropout(Inference& in) {
  infer_same(in);
  in.set_type(1, Type::boolean);
  if (const Shape* shape = in.shape(0)) in.set(1, Type::boolean, *shape);
}
void forward_identity(Forward& f) { f.outputs[0] = f.in(0); }
void forward_dropout(Forward& f) {
  if (f.has(2) && scalar_of(f, 2) != 0)
    throw Error(f.node.where(), "is in training mode", "export the model for inference (model.eval())");
  f.outputs[0] = f.in(0);
  if (f.outputs.size() < 2) return;
  f.outputs[1] = Array(Type::boolean, f.in(0).dims());  // the mask keeps everything
  std::ranges::fill(f.outputs[1].mutable_values<bool>(), true);
}

Type cast_target(const Node& node) {
  const auto type = type_of_number(int(node.integer("to", 0)));
  if (!type) throw Error(node.where(), "casts to type number " + std::to_string(node.integer("to", 0)) + ", which is not known");
  return *type;
}
void infer_cast(Inference& in) {
  const Type type = cast_target(in.node());
  in.set_type(0, type);
  if (const Shape* shape = in.shape(0)) in.set(0, type, *shape);
}
void forward_cast(Forward& f) { f.outputs[0] = f.in(0).cast(cast_target(f.node)); }

}  // namespace

#define ROW(id, name, least, most, summary) const Op op_##id{name, "", least, most, 1, 1, infer_same, forward_##id, nullptr, summary};
ROW(relu, "Relu", 1, 1, "max(x, 0)")
ROW(leaky_relu, "LeakyRelu", 1, 1, "x, or alpha·x where negative")
ROW(prelu, "PRelu", 2, 2, "x, or slope·x where negative")
ROW(sigmoid, "Sigmoid", 1, 1, "1 / (1 + exp(-x))")
ROW(tanh, "Tanh", 1, 1, "hyperbolic tangent")
ROW(hard_sigmoid, "HardSigmoid", 1, 1, "clip(alpha·x + beta, 0, 1)")
ROW(hard_swish, "HardSwish", 1, 1, "x · clip(x/6 + 1/2, 0, 1)")
ROW(clip, "Clip", 1, 3, "x between two bounds")
ROW(exp, "Exp", 1, 1, "exponential")
ROW(log, "Log", 1, 1, "natural logarithm")
ROW(sqrt, "Sqrt", 1, 1, "square root")
ROW(neg, "Neg", 1, 1, "-x")
ROW(abs, "Abs", 1, 1, "|x|")
ROW(erf, "Erf", 1, 1, "error function")
ROW(floor, "Floor", 1, 1, "largest integer not above x")
ROW(ceil, "Ceil", 1, 1, "smallest integer not below x")
ROW(reciprocal, "Reciprocal", 1, 1, "1 / x")
ROW(elu, "Elu", 1, 1, "x, or alpha·(exp(x) - 1) where negative")
ROW(softplus, "Softplus", 1, 1, "log(1 + exp(x))")
ROW(identity, "Identity", 1, 1, "x")
#undef ROW
const Op op_dropout{"Dropout", "", 1, 3, 1, 2, infer_dropout, forward_dropout, nullptr, "x, at inference"};
const Op op_cast{"Cast", "", 1, 1, 1, 1, infer_cast, forward_cast, nullptr, "another element type"};

}  // namespace pare
