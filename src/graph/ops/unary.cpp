#include "graph/ops/links_of.h"

namespace pare {
namespace {

#define UNARY(id, expression) \
  void forward_##id(Forward& f) { map_real(f, [](double x) -> double { return expression; }); }
UNARY(exp, std::exp(x))
UNARY(log, std::log(x))
UNARY(sqrt, std::sqrt(x))
UNARY(erf, std::erf(x))
UNARY(floor, std::floor(x))
UNARY(ceil, std::ceil(x))
UNARY(round, std::nearbyint(x))
UNARY(reciprocal, 1 / x)
UNARY(sin, std::sin(x))
UNARY(cos, std::cos(x))
UNARY(tan, std::tan(x))
UNARY(asin, std::asin(x))
UNARY(acos, std::acos(x))
UNARY(atan, std::atan(x))
UNARY(sinh, std::sinh(x))
UNARY(cosh, std::cosh(x))
UNARY(tanh, std::tanh(x))
UNARY(asinh, std::asinh(x))
UNARY(acosh, std::acosh(x))
UNARY(atanh, std::atanh(x))
#undef UNARY
// Those that integers have too are exact for all of them; negative ones wrap around.
#define UNARY(id, expression)                                                              \
  void forward_##id(Forward& f) {                                                          \
    with_numbers(f.in(0), [&]<class T>(std::span<const T> xs) {                            \
      Array y(TypeOf<T>::value, f.in(0).dims());                                           \
      auto ys = y.mutable_values<T>();                                                     \
      for (size_t i = 0; i < ys.size(); ++i) ys[i] = T([](T x) { return expression; }(xs[i])); \
      f.outputs[0] = y.cast(f.in(0).type());                                               \
    });                                                                                    \
  }
template <class T>
T negated(T x) {
  if constexpr (std::is_integral_v<T>) return T(0 - uint64_t(x));
  else return -x;
}
UNARY(neg, negated(x))
UNARY(abs, x < 0 ? negated(x) : x == 0 ? T(0) : x)
UNARY(sign, x > 0 ? T(1) : x < 0 ? negated(T(1)) : x)
#undef UNARY

void forward_identity(Forward& f) { f.outputs[0] = f.in(0); }

void infer_dropout(Inference& in) {
  infer_same(in);
  in.set_type(1, Type::boolean);
  if (const Shape* shape = in.shape(0)) in.set(1, Type::boolean, *shape);
}
void forward_dropout(Forward& f) {
  // Exporters leave the mode on where nothing is dropped.
  if (f.has(2) && scalar_of(f, 2) != 0 && (f.has(1) ? scalar_of(f, 1) : 0.5) != 0)
    throw Error(f.node.where(), "is in training mode", "export the model for inference (model.eval())");
  f.outputs[0] = f.in(0);
  if (f.outputs.size() < 2) return;
  f.outputs[1] = Array(Type::boolean, f.in(0).dims());  // the mask keeps everything
  std::ranges::fill(f.outputs[1].mutable_values<bool>(), true);
}

}  // namespace

#define ROW(id, name, summary) const Op op_##id{name, "", 1, 1, 1, 1, infer_same, forward_##id, nullptr, summary, -1, links_broadcast};
ROW(exp, "Exp", "exponential")
ROW(log, "Log", "natural logarithm")
ROW(sqrt, "Sqrt", "square root")
ROW(neg, "Neg", "-x")
ROW(abs, "Abs", "|x|")
ROW(sign, "Sign", "-1, 0 or 1")
ROW(erf, "Erf", "error function")
ROW(floor, "Floor", "largest integer not above x")
ROW(ceil, "Ceil", "smallest integer not below x")
ROW(round, "Round", "nearest integer, halves to even")
ROW(reciprocal, "Reciprocal", "1 / x")
ROW(sin, "Sin", "sine")
ROW(cos, "Cos", "cosine")
ROW(tan, "Tan", "tangent")
ROW(asin, "Asin", "inverse sine")
ROW(acos, "Acos", "inverse cosine")
ROW(atan, "Atan", "inverse tangent")
ROW(sinh, "Sinh", "hyperbolic sine")
ROW(cosh, "Cosh", "hyperbolic cosine")
ROW(tanh, "Tanh", "hyperbolic tangent")
ROW(asinh, "Asinh", "inverse hyperbolic sine")
ROW(acosh, "Acosh", "inverse hyperbolic cosine")
ROW(atanh, "Atanh", "inverse hyperbolic tangent")
ROW(identity, "Identity", "x")
#undef ROW
const Op op_dropout{"Dropout", "", 1, 3, 1, 2, infer_dropout, forward_dropout, nullptr, "x, at inference", -1, links_broadcast};

}  // namespace pare
