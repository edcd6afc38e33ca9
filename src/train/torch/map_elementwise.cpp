// Element by element.
#include "base/types.h"
#include "train/torch/mapping.h"

namespace pare {
namespace {

template <class F>
void fold(Mapped& m, F f) {
  at::Tensor y = m.in[0];
  for (size_t i = 1; i < m.in.size(); ++i) y = f(y, m.in[i]);
  m.out = {y};
}

double real(const Mapped& m, const char* name, float fallback) { return m.node.real(name, fallback); }

}  // namespace

#define BINARY(name, expression)               \
  void map_##name(Mapped& m) {                 \
    const at::Tensor &a = m.in[0], &b = m.in[1]; \
    m.out = {expression};                      \
  }
BINARY(Add, a + b)
BINARY(Sub, a - b)
BINARY(Mul, a * b)
// Whole numbers divide towards zero, as C does.
BINARY(Div, a.is_floating_point() ? a / b : at::div(a, b, "trunc"))
BINARY(Pow, at::pow(a, b).to(a.scalar_type()))
BINARY(PRelu, at::where(a > 0, a, a * b))
#undef BINARY

void map_Sum(Mapped& m) { fold(m, [](const at::Tensor& a, const at::Tensor& b) { return a + b; }); }
void map_Mean(Mapped& m) {
  map_Sum(m);
  m.out[0] = m.out[0] / double(m.in.size());
}
void map_Min(Mapped& m) { fold(m, [](const at::Tensor& a, const at::Tensor& b) { return at::minimum(a, b); }); }
void map_Max(Mapped& m) { fold(m, [](const at::Tensor& a, const at::Tensor& b) { return at::maximum(a, b); }); }
void map_Where(Mapped& m) { m.out = {at::where(m.in[0], m.in[1], m.in[2])}; }

#define UNARY(name, expression)   \
  void map_##name(Mapped& m) {    \
    const at::Tensor& x = m.in[0]; \
    m.out = {expression};         \
  }
UNARY(Relu, at::relu(x))
UNARY(LeakyRelu, at::leaky_relu(x, real(m, "alpha", 0.01f)))
UNARY(Sigmoid, at::sigmoid(x))
UNARY(HardSigmoid, at::clamp(x * real(m, "alpha", 0.2f) + real(m, "beta", 0.5f), 0, 1))
UNARY(HardSwish, at::hardswish(x))
UNARY(Elu, at::elu(x, real(m, "alpha", 1)))
UNARY(Celu, at::celu(x, real(m, "alpha", 1)))
UNARY(Selu, at::elu(x, real(m, "alpha", 1.6732632f), real(m, "gamma", 1.0507010f)))
UNARY(Gelu, at::gelu(x, m.node.text("approximate", "none")))
UNARY(Mish, at::mish(x))
UNARY(Softplus, at::softplus(x))
UNARY(Softsign, x / (at::abs(x) + 1))
UNARY(Swish, x * at::sigmoid(x * real(m, "alpha", 1)))
UNARY(ThresholdedRelu, at::threshold(x, real(m, "alpha", 1), 0))
UNARY(Exp, at::exp(x))
UNARY(Log, at::log(x))
UNARY(Sqrt, at::sqrt(x))
UNARY(Neg, at::neg(x))
UNARY(Abs, at::abs(x))
UNARY(Erf, at::erf(x))
UNARY(Reciprocal, at::reciprocal(x))
UNARY(Sin, at::sin(x))
UNARY(Cos, at::cos(x))
UNARY(Tan, at::tan(x))
UNARY(Tanh, at::tanh(x))
UNARY(Atan, at::atan(x))
UNARY(Sinh, at::sinh(x))
UNARY(Cosh, at::cosh(x))
UNARY(Identity, x)
#undef UNARY

void map_Clip(Mapped& m) {
  at::Tensor y = m.in[0];
  if (m.has(1)) y = at::maximum(y, m.in[1]);
  if (m.has(2)) y = at::minimum(y, m.in[2]);
  m.out = {y};
}

// Inference's form: a model for inference drops nothing, and neither does training it again.
void map_Dropout(Mapped& m) {
  m.out = {m.in[0]};
  if (m.node.outputs.size() > 1) m.out.push_back(at::ones_like(m.in[0], at::kBool));
}

// Noise inside a model that is trained (an autoencoder's latent values), from libtorch's generator, which the trainer seeds.
void map_RandomNormalLike(Mapped& m) {
  m.out = {at::randn(m.in[0].sizes(), m.in[0].options().requires_grad(false)) * double(m.node.real("scale", 1)) + double(m.node.real("mean", 0))};
}

void map_Cast(Mapped& m) {
  const auto type = type_of_number(int(m.node.integer("to", 0)));
  if (!type) m.fail("casts to an unknown type");
  const at::ScalarType to = is_float(*type)           ? m.real
                            : *type == Type::boolean ? at::kBool
                            : *type == Type::u8      ? at::kByte
                            : *type == Type::i8      ? at::kChar
                            : *type == Type::i16     ? at::kShort
                            : *type == Type::i32     ? at::kInt
                                                     : at::kLong;
  m.out = {m.in[0].to(to)};
}

}  // namespace pare
