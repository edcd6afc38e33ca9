#include <limits>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

// Axes from the second input (opset 13 and 18 on) or the attribute (before); none given means all.
std::optional<std::vector<int64_t>> axes_of(const Node& node, int64_t rank, std::optional<std::vector<int64_t>> input, bool has_input) {
  std::vector<int64_t> axes = node.integers("axes");
  if (has_input) {
    if (!input) return std::nullopt;
    axes = *input;
  }
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) == 0)
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (int64_t& axis : axes) axis = normal_axis(axis, rank, node.where());
  return axes;
}

void infer_reduce(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  const auto axes = axes_of(in.node(), int64_t(x->size()), in.integers(1), in.has(1));
  if (!axes) return;
  const bool keep = in.node().integer("keepdims", 1) != 0;
  Shape out;
  for (size_t i = 0; i < x->size(); ++i) {
    const bool reduced = std::find(axes->begin(), axes->end(), int64_t(i)) != axes->end();
    if (!reduced) out.push_back((*x)[i]);
    else if (keep) out.push_back({1, ""});
  }
  in.set(0, in.type(0), out);
}

struct Reduction {
  std::vector<int64_t> axes;
  Dims kept, out;  // with extents of 1 for reduced axes; as the result has it
};
Reduction reduction_of(const Forward& f) {
  Reduction r;
  const Dims& dims = f.in(0).dims();
  std::optional<std::vector<int64_t>> input;
  if (f.has(1)) input = f.in(1).to_integers();
  r.axes = *axes_of(f.node, int64_t(dims.size()), input, f.has(1));
  r.kept = dims;
  for (int64_t axis : r.axes) r.kept[size_t(axis)] = 1;
  if (f.node.integer("keepdims", 1) != 0) {
    r.out = r.kept;
    return r;
  }
  for (size_t i = 0; i < dims.size(); ++i)
    if (std::find(r.axes.begin(), r.axes.end(), int64_t(i)) == r.axes.end()) r.out.push_back(dims[i]);
  return r;
}

// start, then step(sum, x) for every element, then finish(sum, count): in T, the result in the type of the input.
template <class T, class Step, class Finish>
void reduce_in(Forward& f, double start, Step step, Finish finish) {
  const Reduction r = reduction_of(f);
  const Array x = f.in(0).cast(TypeOf<T>::value);
  // Through the input's type: the least of an empty set of int32 is int32's.
  const T first = Array::scalar<double>(start).cast(f.in(0).type()).cast(TypeOf<T>::value).template values<T>()[0];
  std::vector<T> sums(size_t(count_of(r.kept)), first);
  std::vector<int64_t> counts(sums.size(), 0);
  const auto xs = x.values<T>();
  for_each_index(x.dims(), broadcast_strides(r.kept, x.dims()), [&](int64_t i, int64_t at) {
    sums[size_t(at)] = step(sums[size_t(at)], xs[size_t(i)]);
    ++counts[size_t(at)];
  });
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = finish(sums[i], counts[i]);
  f.outputs[0] = Array::of<T>(r.out, sums).cast(f.in(0).type());
}
template <class Step, class Finish>
void reduce_reals(Forward& f, Step step, Finish finish) { reduce_in<double>(f, 0, step, finish); }
// Integers stay integers, so that long sums of int64 are exact; they wrap around.
template <class Step>
void reduce(Forward& f, double start, Step step) {
  auto keep = [](auto sum, int64_t) { return sum; };
  if (f.in(0).type() == Type::u64) reduce_in<uint64_t>(f, start, step, keep);
  else if (is_integer(f.in(0).type())) reduce_in<int64_t>(f, start, step, keep);
  else reduce_in<double>(f, start, step, keep);
}

template <class T>
using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;  // where overflow is defined
void forward_sum(Forward& f) { reduce(f, 0, []<class T>(T a, T b) { return T(Wide<T>(a) + Wide<T>(b)); }); }
void forward_prod(Forward& f) { reduce(f, 1, []<class T>(T a, T b) { return T(Wide<T>(a) * Wide<T>(b)); }); }
void forward_sum_square(Forward& f) { reduce(f, 0, []<class T>(T a, T b) { return T(Wide<T>(a) + Wide<T>(b) * Wide<T>(b)); }); }
void forward_l1(Forward& f) { reduce(f, 0, []<class T>(T a, T b) { return T(Wide<T>(a) + (b < 0 ? Wide<T>(0) - Wide<T>(b) : Wide<T>(b))); }); }
void forward_max(Forward& f) {
  const bool boolean = f.in(0).type() == Type::boolean;  // nothing at all gives the type's least value
  reduce(f, boolean ? 0 : -std::numeric_limits<double>::infinity(), [](auto a, auto b) { return a > b || a != a ? a : b; });
}
void forward_min(Forward& f) {
  reduce(f, std::numeric_limits<double>::infinity(), [](auto a, auto b) { return a < b || a != a ? a : b; });
}
void forward_mean(Forward& f) {
  reduce_reals(f, [](double a, double b) { return a + b; }, [](double sum, int64_t n) { return sum / double(n); });
}
void forward_l2(Forward& f) {
  reduce_reals(f, [](double a, double b) { return a + b * b; }, [](double sum, int64_t) { return std::sqrt(sum); });
}
void forward_log_sum(Forward& f) {
  reduce_reals(f, [](double a, double b) { return a + b; }, [](double sum, int64_t) { return std::log(sum); });
}
// Shifted by the largest, so that exp cannot overflow.
void forward_log_sum_exp(Forward& f) {
  Forward largest{f.node, f.opset, {f.in(0).cast(Type::f64)}, {Array()}};
  if (f.has(1)) largest.inputs.push_back(f.in(1));
  forward_max(largest);
  const Reduction r = reduction_of(f);
  Array x = largest.inputs[0], result = largest.outputs[0];
  std::vector<double> sums(size_t(result.count()), 0);
  auto most = result.mutable_values<double>();
  for_each_index(x.dims(), broadcast_strides(r.kept, x.dims()), [&](int64_t i, int64_t at) {
    const double v = x.values<double>()[size_t(i)], shift = most[size_t(at)];
    sums[size_t(at)] += std::isinf(shift) && v == shift ? 1 : std::exp(v - shift);
  });
  for (size_t i = 0; i < sums.size(); ++i) most[i] += std::log(sums[i]);
  f.outputs[0] = result.cast(f.in(0).type());
}

}  // namespace

#define ROW(id, name, forward, summary, links) const Op op_##id{name, "", 1, 2, 1, 1, infer_reduce, forward, nullptr, summary, -1, links};
ROW(reduce_mean, "ReduceMean", forward_mean, "mean over axes", links_reduce_others)
ROW(reduce_sum, "ReduceSum", forward_sum, "sum over axes", links_reduce)
ROW(reduce_prod, "ReduceProd", forward_prod, "product over axes", links_reduce_others)
ROW(reduce_max, "ReduceMax", forward_max, "maximum over axes", links_reduce_others)
ROW(reduce_min, "ReduceMin", forward_min, "minimum over axes", links_reduce_others)
ROW(reduce_l1, "ReduceL1", forward_l1, "sum of magnitudes over axes", links_reduce)
ROW(reduce_l2, "ReduceL2", forward_l2, "root of the sum of squares over axes", links_reduce)
ROW(reduce_sum_square, "ReduceSumSquare", forward_sum_square, "sum of squares over axes", links_reduce)
ROW(reduce_log_sum, "ReduceLogSum", forward_log_sum, "logarithm of the sum over axes", links_reduce_others)
ROW(reduce_log_sum_exp, "ReduceLogSumExp", forward_log_sum_exp, "logarithm of the sum of exponentials over axes", links_reduce_others)
#undef ROW

}  // namespace pare
