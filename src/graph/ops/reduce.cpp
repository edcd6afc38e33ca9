#include <limits>

#include "graph/ops/ops.h"

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

// start, then step(sum, x) for every element, then finish(sum, count).
void reduce(Forward& f, double start, double (*step)(double, double), double (*finish)(double, int64_t)) {
  const Array x = f.in(0).cast(Type::f64);
  std::optional<std::vector<int64_t>> input;
  if (f.has(1)) input = f.in(1).to_integers();
  const auto axes = *axes_of(f.node, x.rank(), input, f.has(1));
  Dims kept = x.dims(), squeezed;
  for (int64_t axis : axes) kept[size_t(axis)] = 1;
  for (size_t i = 0; i < kept.size(); ++i)
    if (std::find(axes.begin(), axes.end(), int64_t(i)) == axes.end()) squeezed.push_back(kept[i]);
  std::vector<double> sums(size_t(count_of(kept)), start);
  std::vector<int64_t> counts(sums.size(), 0);
  const auto xs = x.values<double>();
  for_each_index(x.dims(), broadcast_strides(kept, x.dims()), [&](int64_t i, int64_t at) {
    sums[size_t(at)] = step(sums[size_t(at)], xs[size_t(i)]);
    ++counts[size_t(at)];
  });
  for (size_t i = 0; i < sums.size(); ++i) sums[i] = finish(sums[i], counts[i]);
  const bool keep = f.node.integer("keepdims", 1) != 0;
  f.outputs[0] = Array::of<double>(keep ? kept : squeezed, sums).cast(f.in(0).type());
}

double keep_sum(double sum, int64_t) { return sum; }
void forward_mean(Forward& f) {
  reduce(f, 0, [](double a, double b) { return a + b; }, [](double sum, int64_t n) { return sum / double(n); });
}
void forward_sum(Forward& f) { reduce(f, 0, [](double a, double b) { return a + b; }, keep_sum); }
void forward_max(Forward& f) {
  const bool boolean = f.in(0).type() == Type::boolean;  // nothing at all gives the type's least value
  reduce(f, boolean ? 0 : -std::numeric_limits<double>::infinity(), [](double a, double b) { return std::max(a, b); }, keep_sum);
}
void forward_min(Forward& f) {
  reduce(f, std::numeric_limits<double>::infinity(), [](double a, double b) { return std::min(a, b); }, keep_sum);
}

void infer_argmax(Inference& in) {
  in.set_type(0, Type::i64);
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  if (x->empty()) in.fail("takes no scalar");
  const auto axis = size_t(normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where()));
  Shape out = *x;
  if (in.node().integer("keepdims", 1) != 0) out[axis] = {1, ""};
  else out.erase(out.begin() + long(axis));
  in.set(0, Type::i64, out);
}

void forward_argmax(Forward& f) {
  const Array x = f.in(0).cast(Type::f64);
  const int axis = int(normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where()));
  const bool last = f.node.integer("select_last_index", 0) != 0;
  int64_t inner = 1;
  for (int i = axis + 1; i < x.rank(); ++i) inner *= x.dim(i);
  const int64_t extent = x.dim(axis);
  if (extent == 0) throw Error(f.node.where(), "has nothing to choose from in " + dims_text(x.dims()));
  Dims dims = x.dims();
  if (f.node.integer("keepdims", 1) != 0) dims[size_t(axis)] = 1;
  else dims.erase(dims.begin() + axis);
  Array y(Type::i64, dims);
  auto ys = y.mutable_values<int64_t>();
  const auto xs = x.values<double>();
  for (size_t line = 0; line < ys.size(); ++line) {
    const double* p = xs.data() + int64_t(line) / inner * inner * extent + int64_t(line) % inner;
    for (int64_t i = 1; i < extent; ++i) {
      const double best = p[ys[line] * inner], next = p[i * inner];
      if (next > best || (last && next == best)) ys[line] = i;
    }
  }
  f.outputs[0] = y;
}

}  // namespace

const Op op_reduce_mean{"ReduceMean", "", 1, 2, 1, 1, infer_reduce, forward_mean, nullptr, "mean over axes"};
const Op op_reduce_sum{"ReduceSum", "", 1, 2, 1, 1, infer_reduce, forward_sum, nullptr, "sum over axes"};
const Op op_reduce_max{"ReduceMax", "", 1, 2, 1, 1, infer_reduce, forward_max, nullptr, "maximum over axes"};
const Op op_reduce_min{"ReduceMin", "", 1, 2, 1, 1, infer_reduce, forward_min, nullptr, "minimum over axes"};
const Op op_argmax{"ArgMax", "", 1, 1, 1, 1, infer_argmax, forward_argmax, nullptr, "index of the largest element along an axis"};

}  // namespace pare
