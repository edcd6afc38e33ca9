#include <limits>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

#define ACTIVATION(id, expression) \
  void forward_##id(Forward& f) { map_real(f, [](double x) -> double { return expression; }); }
double softplus(double x) { return x > 30 ? x : std::log1p(std::exp(x)); }
double logistic(double x) { return 1 / (1 + std::exp(-x)); }
ACTIVATION(relu, x < 0 ? 0 : x)
ACTIVATION(sigmoid, logistic(x))
ACTIVATION(hard_swish, x * std::min(std::max(x / 6 + 0.5, 0.0), 1.0))
ACTIVATION(softplus, softplus(x))
ACTIVATION(softsign, x / (1 + std::abs(x)))
ACTIVATION(mish, x * std::tanh(softplus(x)))
#undef ACTIVATION
// Those with settings: `a` and `b` are the attributes of these names, else the standard's values.
#define ACTIVATION(id, expression, name_a, default_a, name_b, default_b)                                          \
  void forward_##id(Forward& f) {                                                                                 \
    const double a = f.node.real(name_a, float(default_a)), b = f.node.real(name_b, float(default_b));            \
    map_real(f, [=](double x) -> double { return (void)a, (void)b, expression; });                                \
  }
ACTIVATION(leaky_relu, x < 0 ? a * x : x, "alpha", 0.01, "", 0)
ACTIVATION(elu, x < 0 ? a * std::expm1(x) : x, "alpha", 1, "", 0)
ACTIVATION(celu, std::max(0.0, x) + std::min(0.0, a * std::expm1(x / a)), "alpha", 1, "", 0)
ACTIVATION(selu, b * (x > 0 ? x : a * std::expm1(x)), "alpha", 1.67326319217681884765625, "gamma", 1.05070102214813232421875)
ACTIVATION(hard_sigmoid, std::min(std::max(a * x + b, 0.0), 1.0), "alpha", 0.2, "beta", 0.5)
ACTIVATION(swish, x * logistic(a * x), "alpha", 1, "", 0)
ACTIVATION(thresholded_relu, x > a ? x : 0, "alpha", 1, "", 0)
ACTIVATION(shrink, x < -a ? x + b : x > a ? x - b : 0, "lambd", 0.5, "bias", 0)
#undef ACTIVATION

// Hendrycks, Gimpel 2016, section 2; "tanh" is their approximation.
void forward_gelu(Forward& f) {
  const std::string form = f.node.text("approximate", "none");
  if (form != "none" && form != "tanh") throw Error(f.node.where(), "approximate is '" + form + "', expected none or tanh");
  if (form == "tanh") map_real(f, [](double x) { return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); });
  else map_real(f, [](double x) { return 0.5 * x * (1 + std::erf(x * 0.7071067811865476)); });
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
  f.outputs[0] = y.cast(f.in(0).type());
}

// Bounds are inputs from opset 11 on, attributes before.
void forward_clip(Forward& f) {
  auto bound = [&](size_t i, const char* key, double fallback) {
    if (f.has(i)) return scalar_of(f, i);
    return f.node.has(key) ? double(f.node.real(key, 0)) : fallback;
  };
  const double low = bound(1, "min", -std::numeric_limits<double>::infinity()), high = bound(2, "max", std::numeric_limits<double>::infinity());
  map_real(f, [=](double x) { return std::min(std::max(x, low), high); });
}

}  // namespace

#define ROW(id, name, least, most, summary) const Op op_##id{name, "", least, most, 1, 1, infer_same, forward_##id, nullptr, summary, -1, links_broadcast};
ROW(relu, "Relu", 1, 1, "max(x, 0)")
ROW(leaky_relu, "LeakyRelu", 1, 1, "x, or alpha·x where negative")
ROW(prelu, "PRelu", 2, 2, "x, or slope·x where negative")
ROW(sigmoid, "Sigmoid", 1, 1, "1 / (1 + exp(-x))")
ROW(hard_sigmoid, "HardSigmoid", 1, 1, "clip(alpha·x + beta, 0, 1)")
ROW(hard_swish, "HardSwish", 1, 1, "x · clip(x/6 + 1/2, 0, 1)")
ROW(clip, "Clip", 1, 3, "x between two bounds")
ROW(elu, "Elu", 1, 1, "x, or alpha·(exp(x) - 1) where negative")
ROW(celu, "Celu", 1, 1, "x, or alpha·(exp(x/alpha) - 1) where negative")
ROW(selu, "Selu", 1, 1, "gamma·x, or gamma·alpha·(exp(x) - 1) where negative")
ROW(gelu, "Gelu", 1, 1, "x · Φ(x), the normal distribution's")
ROW(mish, "Mish", 1, 1, "x · tanh(softplus(x))")
ROW(softplus, "Softplus", 1, 1, "log(1 + exp(x))")
ROW(softsign, "Softsign", 1, 1, "x / (1 + |x|)")
ROW(swish, "Swish", 1, 1, "x · sigmoid(alpha·x)")
ROW(thresholded_relu, "ThresholdedRelu", 1, 1, "x where above alpha, else 0")
ROW(shrink, "Shrink", 1, 1, "x drawn towards 0 by bias, 0 between -lambd and lambd")
#undef ROW

}  // namespace pare
