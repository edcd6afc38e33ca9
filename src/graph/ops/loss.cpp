#include "graph/ops/ops.h"

namespace pare {
namespace {

// Every sample has one class: x n x classes x d…, target n x d…, weight (of classes) or none.
struct Reduced {
  bool none = false, mean = false;
};
Reduced reduction_of(const Node& node) {
  const std::string how = node.text("reduction", "mean");
  if (how != "none" && how != "sum" && how != "mean") throw Error(node.where(), "reduction is '" + how + "', expected none, sum or mean");
  return {how == "none", how == "mean"};
}

// −w[t] · x[…, t, …] of float64 x, where the target t is not ignored; then sum, or mean weighted by w.
Array negative_log_likelihood(const Forward& f, const Array& x) {
  const Array& target = f.in(1);
  Dims wanted = x.dims();
  if (x.rank() < 2) throw Error(f.node.where(), "input " + dims_text(x.dims()) + " has no classes");
  wanted.erase(wanted.begin() + 1);
  if (target.dims() != wanted) throw Error(f.node.where(), "target has shape " + dims_text(target.dims()) + ", expected " + dims_text(wanted));
  const Lines lines = lines_of(x.dims(), 1);
  std::vector<float> weights;
  if (f.has(2)) {
    weights = f.in(2).to_floats();
    check_count(f.node, int64_t(weights.size()), lines.extent, "weights");
  }
  const bool ignores = f.node.has("ignore_index");
  const int64_t ignored = f.node.integer("ignore_index", 0);
  const std::vector<int64_t> targets = target.to_integers();
  std::vector<double> losses(targets.size(), 0);
  double sum = 0, total = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (ignores && targets[i] == ignored) continue;
    if (targets[i] < 0 || targets[i] >= lines.extent)
      throw Error(f.node.where(), "target " + std::to_string(targets[i]) + " is none of " + std::to_string(lines.extent) + " classes");
    const double weight = weights.empty() ? 1 : weights[size_t(targets[i])];
    losses[i] = -weight * x.values<double>()[size_t(lines.start(int64_t(i)) + targets[i] * lines.inner)];
    sum += losses[i];
    total += weight;
  }
  const Reduced how = reduction_of(f.node);
  if (how.none) return Array::of<double>(target.dims(), losses);
  return Array::scalar<double>(how.mean ? sum / total : sum);
}

void infer_loss(Inference& in) {
  in.set_type(0, in.type(0));
  if (!reduction_of(in.node()).none) in.set(0, in.type(0), {});
  else if (const Shape* target = in.shape(1)) in.set(0, in.type(0), *target);
}
void infer_cross_entropy(Inference& in) {
  infer_loss(in);
  in.set_type(1, in.type(0));
  if (const Shape* x = in.shape(0)) in.set(1, in.type(0), *x);
}

void forward_negative_log_likelihood(Forward& f) { f.outputs[0] = negative_log_likelihood(f, f.in(0).cast(Type::f64)).cast(f.in(0).type()); }

// The loss of log(softmax(x)), which is the second result.
void forward_cross_entropy(Forward& f) {
  Array logs = f.in(0).cast(Type::f64);
  if (logs.rank() < 2) throw Error(f.node.where(), "input " + dims_text(logs.dims()) + " has no classes");
  const Lines lines = lines_of(logs.dims(), 1);
  auto values = logs.mutable_values<double>();
  for (int64_t line = 0; line < (lines.extent > 0 ? lines.outer * lines.inner : 0); ++line) {
    double* p = values.data() + lines.start(line);
    double most = p[0], sum = 0;
    for (int64_t i = 1; i < lines.extent; ++i) most = std::max(most, p[i * lines.inner]);
    for (int64_t i = 0; i < lines.extent; ++i) sum += std::exp(p[i * lines.inner] - most);
    for (int64_t i = 0; i < lines.extent; ++i) p[i * lines.inner] -= most + std::log(sum);
  }
  f.outputs[0] = negative_log_likelihood(f, logs).cast(f.in(0).type());
  if (f.outputs.size() > 1) f.outputs[1] = logs.cast(f.in(0).type());
}

}  // namespace

const Op op_negative_log_likelihood{"NegativeLogLikelihoodLoss", "", 2, 3, 1, 1, infer_loss, forward_negative_log_likelihood, nullptr,
                                    "minus the input at the target class, weighted"};
const Op op_cross_entropy{"SoftmaxCrossEntropyLoss", "", 2, 3, 1, 2, infer_cross_entropy, forward_cross_entropy, nullptr,
                          "minus the logarithm of softmax at the target class, weighted"};

}  // namespace pare
