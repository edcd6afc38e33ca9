#include "train/torch/segments.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace pare {
namespace {

constexpr size_t kLeastNodes =
    8;  // of a segment: shorter ones would keep as much at their borders as they spare inside

// By value: something trained lies in front of it.
std::vector<char> dependent(const Graph& graph, const std::vector<ValueId>& trained) {
  std::vector<char> depends(graph.values.size(), 0);
  for (ValueId id : trained) depends[size_t(id)] = 1;
  for (const Node& node : graph.nodes) {
    bool any = false;
    for (ValueId id : node.inputs) any |= id != kNone && depends[size_t(id)];
    for (ValueId id : node.outputs)
      if (id != kNone) depends[size_t(id)] = any;
  }
  return depends;
}

}  // namespace

Segments::Segments(const Interpreter& interpreter, const std::vector<ValueId>& trained, std::vector<ValueId> wanted)
    : interpreter_(interpreter), wanted_(std::move(wanted)), keep_(interpreter.graph().values.size(), 0) {
  const Graph& graph = interpreter.graph();
  const std::vector<char> depends = dependent(graph, trained);
  std::vector<char> live(graph.values.size(), 0), lasting(graph.values.size(), 0);
  for (ValueId id : graph.inputs) live[size_t(id)] = 1;
  for (ValueId id : wanted_) lasting[size_t(id)] = keep_[size_t(id)] = 1;
  starts_ = {0};
  borders_.push_back({graph.inputs, {}});
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    Border border;
    for (size_t id = 0; id < live.size(); ++id)
      if (live[id]) (depends[id] ? border.with_gradient : border.passing).push_back(ValueId(id));
    const bool thin = border.with_gradient.size() <= 1,
               long_enough = n >= starts_.back() + kLeastNodes && n + kLeastNodes <= graph.nodes.size();
    if (thin && long_enough) {
      starts_.push_back(n);
      borders_.push_back(std::move(border));
    }
    for (ValueId id : graph.nodes[n].outputs)
      if (id != kNone) live[size_t(id)] = 1;
    for (ValueId id : interpreter.last_reads()[n]) live[size_t(id)] = lasting[size_t(id)];
  }
  for (const Border& border : borders_)
    for (const auto* ids : {&border.passing, &border.with_gradient})
      for (ValueId id : *ids) keep_[size_t(id)] = 1;
}

// All values as they are when the segment begins, those with gradients as leaves.
std::vector<at::Tensor> Segments::enter(size_t segment, const std::vector<at::Tensor>& kept) const {
  std::vector<at::Tensor> values = interpreter_.begin({});
  for (ValueId id : borders_[segment].passing) values[size_t(id)] = kept[size_t(id)];
  for (ValueId id : borders_[segment].with_gradient)
    values[size_t(id)] = kept[size_t(id)].detach().requires_grad_(true);
  return values;
}

void Segments::backward(const std::vector<at::Tensor>& inputs,
                        const std::function<at::Tensor(const std::vector<at::Tensor>&)>& loss) const {
  std::vector<at::Tensor> kept = interpreter_.begin(inputs);
  {
    const at::NoGradGuard guard;
    interpreter_.run_part(kept, 0, starts_.back(), keep_, false);
  }
  std::vector<at::Tensor> entered, gradients;
  for (size_t segment = starts_.size(); segment-- > 0;) {
    const bool is_last = segment + 1 == starts_.size();
    if (!is_last && borders_[segment + 1].with_gradient.empty()) return;  // nothing trained lies further in front
    std::vector<at::Tensor> values = enter(segment, kept);
    const std::vector<at::Tensor> at_border = [&] {
      std::vector<at::Tensor> list;
      for (ValueId id : borders_[segment].with_gradient) list.push_back(values[size_t(id)]);
      return list;
    }();
    interpreter_.run_part(values, starts_[segment], end_of(segment), keep_, false);
    std::vector<at::Tensor> ends;
    if (is_last) {
      std::vector<at::Tensor> results;
      for (ValueId id : wanted_)
        results.push_back(values[size_t(id)].defined() ? values[size_t(id)] : kept[size_t(id)]);
      ends = {loss(results)};
      gradients = {at::Tensor()};
    } else {
      for (ValueId id : borders_[segment + 1].with_gradient) ends.push_back(values[size_t(id)]);
    }
    values.clear();
    torch::autograd::backward(ends, gradients);
    gradients.clear();
    for (const at::Tensor& leaf : at_border)
      gradients.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  }
}

}  // namespace pare
