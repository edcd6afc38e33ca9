// Normalization, softmax and sums: rows shared by the team.
#include <algorithm>

#include "engine/plan.h"
#include "graph/ops/ops.h"
#include "kernels/float_rows/float_rows.h"

namespace pare {
namespace {

class TeamStep : public Step {
 public:
  bool team() const override { return true; }
};

// Whole cache lines of a row for each thread, so that none writes into another's: first and last element.
std::pair<int64_t, int64_t> columns_of(int64_t count, int thread, int threads) {
  const int64_t lines = (count + 15) / 16;
  return {std::min(count, lines * thread / threads * 16), std::min(count, lines * (thread + 1) / threads * 16)};
}

// All plain floats; what is read is the node's input, or the `terms` whose sum it is.
bool emit_plain(Planner& planner, const Node& node, std::unique_ptr<Step> step, const std::vector<ValueId>& terms = {}) {
  const ValueId y = node.outputs[0];
  for (const ValueId x : terms.empty() ? std::vector{node.inputs[0]} : terms) step->reads.push_back(planner.slot(x, Layout::plain, Type::f32));
  step->writes = planner.define(y, {Type::f32, planner.dims(y), Layout::plain});
  step->report = {node.name, (terms.empty() ? "" : "Add+") + node.op_type, planner.graph.at(y).name, best_float_rows_kernel().name, "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

// Of one value, or of the sum of two.
class RowsStep : public TeamStep {
 public:
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* x = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* y = reinterpret_cast<float*>(slots[writes]);
    const FloatRowsKernel& kernel = best_float_rows_kernel();
    for (int64_t row = count * thread / threads; row < count * (thread + 1) / threads; ++row) {
      const float* from = x + row * length;
      float* to = y + row * length;
      if (reads.size() > 1) {
        std::copy_n(from, length, to);
        kernel.accumulate(reinterpret_cast<const float*>(slots[reads[1]]) + row * length, 1, false, to, length);
        from = to;
      }
      if (gamma.empty()) kernel.softmax(from, nullptr, 1, to, length);
      else kernel.norm(from, gamma.data(), beta.empty() ? nullptr : beta.data(), epsilon, centred, to, length);
    }
  }
  int64_t count = 0, length = 0;
  std::vector<float> gamma, beta;  // no gamma: softmax
  float epsilon = 0;
  bool centred = true;
};

bool last_axis(const Node& node, const Dims& dims) { return normal_axis(node.integer("axis", -1), int64_t(dims.size()), node.where()) == int64_t(dims.size()) - 1; }

bool is_row(const Planner& planner, ValueId id, int64_t length) {
  const Tensor* tensor = planner.graph.constant(id);
  return tensor != nullptr && tensor->count() == length;
}

bool emit_rows(Planner& planner, const Node& node, std::unique_ptr<RowsStep> step, const std::vector<ValueId>& terms = {}) {
  const Dims dims = planner.dims(node.inputs[0]);
  step->length = dims.back();
  step->count = step->length > 0 ? count_of(dims) / step->length : 0;
  return emit_plain(planner, node, std::move(step), terms);
}

// Sums over axes that lie side by side: [outer, reduced, inner] → [outer, inner].
class SumStep : public TeamStep {
 public:
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* x = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* y = reinterpret_cast<float*>(slots[writes]);
    const FloatRowsKernel& kernel = best_float_rows_kernel();
    if (inner == 1) {
      for (int64_t o = outer * thread / threads; o < outer * (thread + 1) / threads; ++o) y[o] = kernel.sum(x + o * reduced, reduced) * factor;
      return;
    }
    const auto [first, last] = columns_of(inner, thread, threads);
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t r = 0; r < reduced; ++r) kernel.accumulate(x + (o * reduced + r) * inner + first, factor, r == 0, y + o * inner + first, last - first);
  }
  int64_t outer = 1, reduced = 1, inner = 1;
  float factor = 1;
};

// Softmax over an axis that is not the last: [outer, length, inner], columns shared by the team.
class ColumnsStep : public TeamStep {
 public:
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* x = reinterpret_cast<const float*>(slots[reads[0]]);
    auto* y = reinterpret_cast<float*>(slots[writes]);
    const auto [first, last] = columns_of(inner, thread, threads);
    for (int64_t o = 0; o < outer; ++o) best_float_rows_kernel().softmax_columns(x + o * length * inner + first, y + o * length * inner + first, length, inner, last - first);
  }
  int64_t outer = 1, length = 1, inner = 1;
};

bool emit_columns(Planner& planner, const Node& node, const Dims& dims) {
  const auto axis = size_t(normal_axis(node.integer("axis", -1), int64_t(dims.size()), node.where()));
  auto step = std::make_unique<ColumnsStep>();
  for (size_t i = 0; i < dims.size(); ++i) (i < axis ? step->outer : i > axis ? step->inner : step->length) *= dims[i];
  return emit_plain(planner, node, std::move(step));
}

// The axes a reduction names, ascending; empty where they are not known.
std::vector<int64_t> reduced_axes(const Planner& planner, const Node& node, int64_t rank) {
  std::vector<int64_t> axes = node.integers("axes");
  if (node.input(1) != kNone) {
    const Tensor* given = planner.graph.constant(node.inputs[1]);
    if (given == nullptr) return {};
    axes = given->decode().to_integers();
  }
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) == 0)
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (int64_t& axis : axes) axis = normal_axis(axis, rank, node.where());
  std::sort(axes.begin(), axes.end());
  axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  return axes;
}

}  // namespace

bool lower_sum(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const bool mean = node.is("ReduceMean");
  if (!(mean || node.is("ReduceSum")) || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Dims x = planner.dims(node.inputs[0]);
  const std::vector<int64_t> axes = reduced_axes(planner, node, int64_t(x.size()));
  if (axes.empty() || count_of(x) == 0 || axes.back() - axes.front() != int64_t(axes.size()) - 1) return false;
  auto step = std::make_unique<SumStep>();
  for (size_t i = 0; i < x.size(); ++i) (int64_t(i) < axes.front() ? step->outer : int64_t(i) > axes.back() ? step->inner : step->reduced) *= x[i];
  if (mean) step->factor = 1 / float(step->reduced);
  return emit_plain(planner, node, std::move(step));
}

namespace {

// All that decides whether lower_norm can take the node: a sum is left to it on the strength of this.
bool plannable_norm(const Planner& planner, const Node& node) {
  const bool centred = node.is("LayerNormalization");
  if (!(centred || node.is("RMSNormalization")) || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Dims dims = planner.dims(node.inputs[0]);
  const auto unused = [&](size_t i) { return node.outputs.size() <= i || node.outputs[i] == kNone; };
  if (dims.empty() || !last_axis(node, dims) || !unused(1) || !unused(2)) return false;
  return dims.back() > 0 && is_row(planner, node.input(1), dims.back()) && (node.input(2) == kNone || is_row(planner, node.input(2), dims.back()));
}

// The Add that makes `id`, of two values as large, where a norm alone reads it.
const Node* sum_for_norm(const Planner& planner, ValueId id) {
  const int made = planner.producer[size_t(id)], reader = planner.only_consumer(id);
  if (made < 0 || reader < 0) return nullptr;
  const Node &sum = planner.graph.nodes[size_t(made)], &norm = planner.graph.nodes[size_t(reader)];
  if (!sum.is("Add") || norm.inputs[0] != id || !plannable_norm(planner, norm)) return nullptr;
  for (const ValueId x : sum.inputs)
    if (planner.graph.at(x).type != Type::f32 || planner.graph.constant(x) != nullptr || planner.dims(x) != planner.dims(id)) return nullptr;
  return &sum;
}

}  // namespace

// Nothing is written for a sum that only a norm reads: each row is added up in front of its norm.
bool lower_deferred_sum(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Add") || sum_for_norm(planner, node.outputs[0]) == nullptr) return false;
  for (const ValueId term : node.inputs) planner.keep(term);
  return true;
}

bool lower_norm(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!plannable_norm(planner, node)) return false;
  auto step = std::make_unique<RowsStep>();
  step->gamma = planner.constant(node.inputs[1]).to_floats();
  if (node.input(2) != kNone) step->beta = planner.constant(node.inputs[2]).to_floats();
  step->epsilon = node.real("epsilon", 1e-5f);
  step->centred = node.is("LayerNormalization");
  const Node* sum = planner.existing(node.inputs[0]) ? nullptr : sum_for_norm(planner, node.inputs[0]);
  return emit_rows(planner, node, std::move(step), sum == nullptr ? std::vector<ValueId>() : sum->inputs);
}

bool lower_softmax(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Softmax") || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Dims dims = planner.dims(node.inputs[0]);
  if (dims.empty()) return false;
  return last_axis(node, dims) ? emit_rows(planner, node, std::make_unique<RowsStep>()) : emit_columns(planner, node, dims);
}

}  // namespace pare
