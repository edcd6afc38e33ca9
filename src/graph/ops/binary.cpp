#include "graph/ops/ops.h"

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

// Integers are computed in int64, floats in double; the result has the type of the first input unless `boolean`.
template <class Integer, class Real>
void fold_inputs(Forward& f, Integer on_integers, Real on_reals, bool boolean = false) {
  const Type type = f.in(0).type();
  const bool real = is_float(type);
  Array y = f.in(0).cast(real ? Type::f64 : Type::i64);
  for (size_t i = 1; i < f.inputs.size(); ++i) {
    const Array next = f.in(i).cast(y.type());
    y = real ? combine<double>(y, next, f.node.where(), on_reals) : combine<int64_t>(y, next, f.node.where(), on_integers);
  }
  f.outputs[0] = y.cast(boolean ? Type::boolean : type);
}

int64_t integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
  uint64_t result = 1;
  for (auto square = uint64_t(base); exponent > 0; exponent /= 2, square *= square)
    if (exponent % 2 == 1) result *= square;
  return int64_t(result);
}

// The same expression over integers and reals, named by its function.
#define BINARY(id, expression) \
  void forward_##id(Forward& f) { fold_inputs(f, [](auto a, auto b) { return expression; }, [](auto a, auto b) { return expression; }); }
BINARY(minimum, a < b ? a : b)
BINARY(maximum, a > b ? a : b)
#undef BINARY
// Integers wrap around, which C++ promises for unsigned ones only.
#define ARITHMETIC(id, operation) \
  void forward_##id(Forward& f) { \
    fold_inputs(f, [](int64_t a, int64_t b) { return int64_t(uint64_t(a) operation uint64_t(b)); }, [](double a, double b) { return a operation b; }); \
  }
ARITHMETIC(add, +)
ARITHMETIC(sub, -)
ARITHMETIC(mul, *)
#undef ARITHMETIC

void forward_div(Forward& f) {
  const std::string where = f.node.where();
  fold_inputs(f, [&](int64_t a, int64_t b) {
    if (b == 0) throw Error(where, "divides an integer by zero");
    return b == -1 ? int64_t(0 - uint64_t(a)) : a / b;
  }, [](double a, double b) { return a / b; });
}
void forward_pow(Forward& f) {
  const bool real_exponent = f.inputs.size() > 1 && is_float(f.in(1).type());
  fold_inputs(f, [=](int64_t a, int64_t b) { return real_exponent ? int64_t(std::pow(double(a), double(b))) : integer_power(a, b); },
              [](double a, double b) { return std::pow(a, b); });
}
#define COMPARE(id, operation) \
  void forward_##id(Forward& f) { fold_inputs(f, [](auto a, auto b) { return a operation b; }, [](auto a, auto b) { return a operation b; }, true); }
COMPARE(equal, ==)
COMPARE(greater, >)
COMPARE(less, <)
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

const Op op_add{"Add", "", 2, 2, 1, 1, infer_broadcast, forward_add, nullptr, "a + b"};
const Op op_sub{"Sub", "", 2, 2, 1, 1, infer_broadcast, forward_sub, nullptr, "a - b"};
const Op op_mul{"Mul", "", 2, 2, 1, 1, infer_broadcast, forward_mul, nullptr, "a · b"};
const Op op_div{"Div", "", 2, 2, 1, 1, infer_broadcast, forward_div, nullptr, "a / b"};
const Op op_pow{"Pow", "", 2, 2, 1, 1, infer_broadcast, forward_pow, nullptr, "a to the power of b"};
const Op op_minimum{"Min", "", 1, -1, 1, 1, infer_broadcast, forward_minimum, nullptr, "smallest of the inputs"};
const Op op_maximum{"Max", "", 1, -1, 1, 1, infer_broadcast, forward_maximum, nullptr, "largest of the inputs"};
const Op op_where{"Where", "", 3, 3, 1, 1, infer_where, forward_where, nullptr, "one of two inputs by a condition"};
const Op op_equal{"Equal", "", 2, 2, 1, 1, infer_compare, forward_equal, nullptr, "a = b"};
const Op op_greater{"Greater", "", 2, 2, 1, 1, infer_compare, forward_greater, nullptr, "a > b"};
const Op op_less{"Less", "", 2, 2, 1, 1, infer_compare, forward_less, nullptr, "a < b"};

}  // namespace pare
