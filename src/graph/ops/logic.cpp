#include "graph/ops/links_of.h"

namespace pare {
namespace {

// y = function(a, b) on the elements of both inputs as Wide, stored as Out.
template <class Wide, class Out, class F>
Array combine(const Forward& f, F function) {
  const Dims out = broadcast(f.in(0).dims(), f.in(1).dims(), f.node.where());
  const Array a = f.in(0).cast(TypeOf<Wide>::value), b = f.in(1).cast(TypeOf<Wide>::value);
  Array y(TypeOf<Out>::value, out);
  auto ys = y.mutable_values<Out>();
  std::vector<int64_t> at(ys.size());
  for_each_index(out, broadcast_strides(a.dims(), out), [&](int64_t i, int64_t offset) { at[size_t(i)] = offset; });
  for_each_index(out, broadcast_strides(b.dims(), out), [&](int64_t i, int64_t offset) {
    ys[size_t(i)] = function(a.values<Wide>()[size_t(at[size_t(i)])], b.values<Wide>()[size_t(offset)]);
  });
  return y;
}

#define LOGIC(id, expression) \
  void forward_##id(Forward& f) { f.outputs[0] = combine<bool, bool>(f, [](bool a, bool b) { return expression; }); }
LOGIC(logical_and, a && b)
LOGIC(logical_or, a || b)
LOGIC(logical_xor, a != b)
#undef LOGIC
// Sign extension to 64 bits and back keeps each bit.
#define BITS(id, operation)                                                                                                  \
  void forward_##id(Forward& f) {                                                                                            \
    f.outputs[0] = combine<uint64_t, uint64_t>(f, [](uint64_t a, uint64_t b) { return a operation b; }).cast(f.in(0).type()); \
  }
BITS(bitwise_and, &)
BITS(bitwise_or, |)
BITS(bitwise_xor, ^)
#undef BITS

void forward_bit_shift(Forward& f) {
  const std::string direction = f.node.text("direction");
  if (direction != "LEFT" && direction != "RIGHT") throw Error(f.node.where(), "direction is '" + direction + "', expected LEFT or RIGHT");
  const bool left = direction == "LEFT", is_signed = Array::scalar<int64_t>(-1).cast(f.in(0).type()).to_integers()[0] < 0;
  const auto bits = uint64_t(type_bits(f.in(0).type()));
  // Shifts by the width and more (negative counts are such, seen as unsigned) leave 0, or the sign where signed ones go right.
  auto shift = [=](uint64_t a, uint64_t by) -> uint64_t {
    if (left) return by >= bits ? 0 : a << by;
    return is_signed ? uint64_t(int64_t(a) >> std::min<uint64_t>(by, 63)) : by >= bits ? 0 : a >> by;
  };
  f.outputs[0] = combine<uint64_t, uint64_t>(f, shift).cast(f.in(0).type());
}

void forward_logical_not(Forward& f) {
  Array y = f.in(0).cast(Type::boolean);
  for (bool& v : y.mutable_values<bool>()) v = !v;
  f.outputs[0] = y;
}
void forward_bitwise_not(Forward& f) {
  Array y = f.in(0).cast(Type::u64);
  for (uint64_t& v : y.mutable_values<uint64_t>()) v = ~v;
  f.outputs[0] = y.cast(f.in(0).type());
}

template <class F>
void test(Forward& f, F function) {
  const Array x = f.in(0).cast(Type::f64);
  Array y(Type::boolean, x.dims());
  auto ys = y.mutable_values<bool>();
  for (size_t i = 0; i < ys.size(); ++i) ys[i] = function(x.values<double>()[i]);
  f.outputs[0] = y;
}
void forward_is_nan(Forward& f) { test(f, [](double x) { return std::isnan(x); }); }
void forward_is_inf(Forward& f) {
  const bool negative = f.node.integer("detect_negative", 1) != 0, positive = f.node.integer("detect_positive", 1) != 0;
  test(f, [=](double x) { return std::isinf(x) && (x < 0 ? negative : positive); });
}

void infer_logic(Inference& in) {
  in.set_type(0, Type::boolean);
  if (in.inputs() == 1) {
    if (const Shape* shape = in.shape(0)) in.set(0, Type::boolean, *shape);
  } else if (auto shape = broadcast_shapes(in.shape(0), in.shape(1), in.node().where())) {
    in.set(0, Type::boolean, *shape);
  }
}

}  // namespace

#define ROW(id, name, inputs, infer, summary) const Op op_##id{name, "", inputs, inputs, 1, 1, infer, forward_##id, nullptr, summary, -1, links_broadcast};
ROW(logical_and, "And", 2, infer_logic, "a and b")
ROW(logical_or, "Or", 2, infer_logic, "a or b")
ROW(logical_xor, "Xor", 2, infer_logic, "either a or b")
ROW(logical_not, "Not", 1, infer_logic, "not x")
ROW(is_nan, "IsNaN", 1, infer_logic, "whether x is no number")
ROW(is_inf, "IsInf", 1, infer_logic, "whether x is infinite")
ROW(bitwise_and, "BitwiseAnd", 2, infer_broadcast, "a & b, bit by bit")
ROW(bitwise_or, "BitwiseOr", 2, infer_broadcast, "a | b, bit by bit")
ROW(bitwise_xor, "BitwiseXor", 2, infer_broadcast, "a ^ b, bit by bit")
ROW(bitwise_not, "BitwiseNot", 1, infer_same, "each bit of x turned over")
ROW(bit_shift, "BitShift", 2, infer_broadcast, "a shifted by b bits")
#undef ROW

}  // namespace pare
