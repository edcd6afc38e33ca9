#include "graph/ops/links_of.h"

namespace pare {
namespace {

template <class T, class F>
Array combine(const Array& a, const Array& b, const std::string& where, F function) {
  const Dims out = broadcast(a.dims(), b.dims(), where);
  std::vector<int64_t> at(size_t(count_of(out)));
  for_each_index(out, broadcast_strides(a.dims(), out), [&](int64_t i, int64_t offset) { at[size_t(i)] = offset; });
  Array y(TypeOf<T>::value, out);
  auto ys = y.mutable_values<T>();
  const auto as = a.values<T>(), bs = b.values<T>();
  for_each_index(out, broadcast_strides(b.dims(), out), [&](int64_t i, int64_t offset) {
    ys[size_t(i)] = T(function(as[size_t(at[size_t(i)])], bs[size_t(offset)]));
  });
  return y;
}

// All inputs combined one after the other by function(a, b) on doubles, int64 or uint64. The result has the type of the
// first input unless `boolean`.
template <class F>
void fold_inputs(Forward& f, F function, bool boolean = false) {
  const Type type = f.in(0).type();
  auto fold = [&]<class T>(T) {
    Array y = f.in(0).cast(TypeOf<T>::value);
    for (size_t i = 1; i < f.inputs.size(); ++i) y = combine<T>(y, f.in(i).cast(TypeOf<T>::value), f.node.where(), function);
    f.outputs[0] = y.cast(boolean ? Type::boolean : type);
  };
  if (type == Type::u64) fold(uint64_t());
  else if (is_integer(type) || type == Type::boolean) fold(int64_t());
  else fold(double());
}

// The same expression over integers and reals.
#define BINARY(id, expression) \
  void forward_##id(Forward& f) { fold_inputs(f, []<class T>(T a, T b) { return T(expression); }); }
// What numpy does: a NaN on either side is the result.
BINARY(minimum, a < b || a != a ? a : b)
BINARY(maximum, a > b || a != a ? a : b)
#undef BINARY
// Integers wrap around, which C++ promises for unsigned ones only.
#define ARITHMETIC(id, operation)                                                 \
  void forward_##id(Forward& f) {                                                 \
    fold_inputs(f, []<class T>(T a, T b) {                                        \
      if constexpr (std::is_integral_v<T>) return T(uint64_t(a) operation uint64_t(b)); \
      else return a operation b;                                                  \
    });                                                                           \
  }
ARITHMETIC(add, +)
ARITHMETIC(sub, -)
ARITHMETIC(mul, *)
#undef ARITHMETIC

void forward_mean(Forward& f) {
  forward_add(f);
  Array y = f.outputs[0].cast(Type::f64);
  for (double& v : y.mutable_values<double>()) v /= double(f.inputs.size());
  f.outputs[0] = y.cast(f.in(0).type());
}

template <class T>
void check_divisor(T b, const std::string& where) {
  if (std::is_integral_v<T> && b == 0) throw Error(where, "divides an integer by zero");
}
void forward_div(Forward& f) {
  fold_inputs(f, [where = f.node.where()]<class T>(T a, T b) {
    check_divisor(b, where);
    if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) return b == -1 ? T(0 - uint64_t(a)) : a / b;
    else return a / b;
  });
}
// The remainder has the divisor's sign, with `fmod` the dividend's.
void forward_mod(Forward& f) {
  const bool c_rule = f.node.integer("fmod", 0) != 0;
  fold_inputs(f, [c_rule, where = f.node.where()]<class T>(T a, T b) {
    check_divisor(b, where);
    T rest;
    if constexpr (std::is_floating_point_v<T>) rest = std::fmod(a, b);
    else rest = std::is_signed_v<T> && b == T(-1) ? T(0) : a % b;
    return T(!c_rule && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
  });
}

template <class T>
T integer_power(T base, T exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == T(-1) ? (exponent % 2 == 0 ? 1 : T(-1)) : 0;
  uint64_t result = 1;
  for (auto square = uint64_t(base); exponent > 0; exponent /= 2, square *= square)
    if (exponent % 2 == 1) result *= square;
  return T(result);
}
void forward_pow(Forward& f) {
  const Type type = f.in(0).type();
  if (is_float(f.in(1).type()) && !is_float(type)) f.inputs[0] = f.inputs[0].cast(Type::f64);
  fold_inputs(f, []<class T>(T a, T b) {
    if constexpr (std::is_integral_v<T>) return integer_power(a, b);
    else return std::pow(a, b);
  });
  f.outputs[0] = f.outputs[0].cast(type);
}
#define COMPARE(id, operation) \
  void forward_##id(Forward& f) { fold_inputs(f, []<class T>(T a, T b) { return T(a operation b); }, true); }
COMPARE(equal, ==)
COMPARE(greater, >)
COMPARE(greater_or_equal, >=)
COMPARE(less, <)
COMPARE(less_or_equal, <=)
#undef COMPARE

void infer_compare(Inference& in) {
  in.set_type(0, Type::boolean);
  if (auto shape = broadcast_shapes(in.shape(0), in.shape(1), in.node().where())) in.set(0, Type::boolean, *shape);
}

void infer_where(Inference& in) {
  in.set_type(0, in.type(1));
  auto shape = broadcast_shapes(in.shape(0), in.shape(1), in.node().where());
  if (shape) shape = broadcast_shapes(&*shape, in.shape(2), in.node().where());
  if (shape) in.set(0, in.type(1), *shape);
}

// Works on the bytes, so that any element type of whole bytes passes unchanged.
void forward_where(Forward& f) {
  const std::string where = f.node.where();
  if (f.in(1).type() != f.in(2).type()) throw Error(where, "chooses between elements of two types");
  const Array conditions = f.in(0).cast(Type::boolean);
  const Dims out = broadcast(broadcast(f.in(0).dims(), f.in(1).dims(), where), f.in(2).dims(), where);
  Array y(f.in(1).type(), out);
  const size_t size = size_t(type_bits(y.type()) / 8);
  if (size == 0) throw Error(where, "elements of type " + std::string(type_text(y.type())) + " cannot be chosen one by one");
  std::vector<int64_t> from[2];
  for (int k = 0; k < 2; ++k)
    for_each_index(out, broadcast_strides(f.in(size_t(k + 1)).dims(), out), [&](int64_t, int64_t at) { from[k].push_back(at); });
  const auto condition = conditions.values<bool>();
  std::byte* to = y.mutable_bytes();
  for_each_index(out, broadcast_strides(f.in(0).dims(), out), [&](int64_t i, int64_t at) {
    const size_t k = condition[size_t(at)] ? 0 : 1;
    std::copy_n(f.in(k + 1).bytes() + size_t(from[k][size_t(i)]) * size, size, to + size_t(i) * size);
  });
  f.outputs[0] = y;
}

}  // namespace

const Op op_add{"Add", "", 2, 2, 1, 1, infer_broadcast, forward_add, nullptr, "a + b", -1, links_broadcast};
const Op op_sub{"Sub", "", 2, 2, 1, 1, infer_broadcast, forward_sub, nullptr, "a - b", -1, links_broadcast};
const Op op_mul{"Mul", "", 2, 2, 1, 1, infer_broadcast, forward_mul, nullptr, "a · b", -1, links_broadcast};
const Op op_div{"Div", "", 2, 2, 1, 1, infer_broadcast, forward_div, nullptr, "a / b", -1, links_broadcast};
const Op op_mod{"Mod", "", 2, 2, 1, 1, infer_broadcast, forward_mod, nullptr, "remainder of a / b", -1, links_broadcast};
const Op op_pow{"Pow", "", 2, 2, 1, 1, infer_broadcast, forward_pow, nullptr, "a to the power of b", -1, links_broadcast};
const Op op_minimum{"Min", "", 1, -1, 1, 1, infer_broadcast, forward_minimum, nullptr, "smallest of the inputs", -1, links_broadcast};
const Op op_maximum{"Max", "", 1, -1, 1, 1, infer_broadcast, forward_maximum, nullptr, "largest of the inputs", -1, links_broadcast};
const Op op_sum{"Sum", "", 1, -1, 1, 1, infer_broadcast, forward_add, nullptr, "sum of the inputs", -1, links_broadcast};
const Op op_mean{"Mean", "", 1, -1, 1, 1, infer_broadcast, forward_mean, nullptr, "mean of the inputs", -1, links_broadcast};
const Op op_where{"Where", "", 3, 3, 1, 1, infer_where, forward_where, nullptr, "one of two inputs by a condition", -1, links_broadcast};
const Op op_equal{"Equal", "", 2, 2, 1, 1, infer_compare, forward_equal, nullptr, "a = b", -1, links_broadcast};
const Op op_greater{"Greater", "", 2, 2, 1, 1, infer_compare, forward_greater, nullptr, "a > b", -1, links_broadcast};
const Op op_greater_or_equal{"GreaterOrEqual", "", 2, 2, 1, 1, infer_compare, forward_greater_or_equal, nullptr, "a ≥ b", -1, links_broadcast};
const Op op_less{"Less", "", 2, 2, 1, 1, infer_compare, forward_less, nullptr, "a < b", -1, links_broadcast};
const Op op_less_or_equal{"LessOrEqual", "", 2, 2, 1, 1, infer_compare, forward_less_or_equal, nullptr, "a ≤ b", -1, links_broadcast};

}  // namespace pare
