#include "passes/channel_plan.h"

#include <algorithm>
#include <set>

#include "graph/op.h"

namespace pare {

std::vector<WeightLayer> weight_layers(const Graph& graph) {
  std::vector<WeightLayer> layers;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op == nullptr || node.op->weight_input < 0 || node.op->macs == nullptr) continue;
    const bool left = node.is("MatMul") && graph.constant(node.input(0)) != nullptr;
    WeightLayer layer{int(n), node.input(left ? 0 : 1), node.input(left ? 1 : 0), node.outputs[0], kNone, 0, -1, 1};
    const Tensor* weight = graph.constant(layer.weight);
    if (weight == nullptr || layer.x == kNone || graph.constant(layer.x) != nullptr || weight->dims.size() < 2) continue;
    const int rank = int(weight->dims.size());
    const auto& shape = graph.at(layer.x).shape;
    const int64_t group = node.integer("group", 1);
    if (node.is("Conv")) {
      layer.in_axis = group == 1 ? 1 : -1;
    } else if (node.is("ConvTranspose")) {
      layer.out_axis = 1, layer.in_axis = group == 1 ? 0 : -1;
    } else if (node.is("Gemm")) {
      const bool rows = node.integer("transB", 0) != 0;
      layer.out_axis = rows ? 0 : 1, layer.in_axis = rows ? 1 : 0;
      if (node.integer("transA", 0) != 0) continue;
    } else if (node.is("MatMul")) {
      layer.out_axis = left ? rank - 2 : rank - 1, layer.in_axis = left ? rank - 1 : rank - 2;
      if (!shape) continue;
      layer.x_axis = int(shape->size()) - (left ? 2 : 1);
    } else {
      continue;
    }
    if (!node.is("MatMul")) layer.bias = node.input(2);
    layers.push_back(layer);
  }
  return layers;
}

ChannelPlan::ChannelPlan(const Graph& graph, const std::vector<Dims>& inputs, const std::map<int, std::string>& untouched, const std::map<int, std::string>& whole)
    : graph_(graph), coupling_(graph, inputs, untouched, whole), groups_(coupling_.groups()), layers_(weight_layers(graph)) {
  for (const auto& dims : coupling_.dims()) dims_.push_back(dims.value_or(Dims()));
  cut_.assign(groups_.size(), 0);
  readers_.resize(dims_.size());
  is_weight_.assign(dims_.size(), 0);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const auto* ids : {&graph.nodes[n].inputs, &graph.nodes[n].outputs})
      for (ValueId id : *ids)
        if (id != kNone) readers_[size_t(id)].push_back(int(n));
    macs_ += node_macs(n, dims_);
  }
  for (const WeightLayer& layer : layers_) is_weight_[size_t(layer.weight)] = 1;
  for (size_t id = 0; id < dims_.size(); ++id) parameters_ += count_parameters(dims_, ValueId(id));
  find_classes();
}

void ChannelPlan::find_classes() {
  std::map<std::vector<std::pair<ValueId, int>>, size_t> known;
  for (size_t g = 0; g < groups_.size(); ++g) {
    std::vector<std::pair<ValueId, int>> axes;
    for (const Slice& slice : groups_[g].slices)
      if (axes.empty() || axes.back() != std::make_pair(slice.value, slice.axis)) axes.emplace_back(slice.value, slice.axis);
    const auto [it, fresh] = known.emplace(axes, classes_.size());
    if (fresh) classes_.push_back({axes, {}, {}, {}, false});
    classes_[it->second].groups.push_back(int(g));
    classes_[it->second].heads |= groups_[g].heads;
  }
  for (ChannelClass& channels : classes_) {
    const std::set<std::pair<ValueId, int>> axes(channels.axes.begin(), channels.axes.end());
    for (size_t k = 0; k < layers_.size(); ++k) {
      if (axes.count({layers_[k].weight, layers_[k].out_axis})) channels.makers.push_back(int(k));
      if (layers_[k].in_axis >= 0 && axes.count({layers_[k].weight, layers_[k].in_axis})) channels.readers.push_back(int(k));
    }
  }
}

int64_t ChannelPlan::node_macs(size_t n, const std::vector<Dims>& dims) const {
  const Node& node = graph_.nodes[n];
  if (node.op == nullptr || node.op->macs == nullptr) return 0;
  std::vector<Dims> in, out;
  for (ValueId id : node.inputs) {
    if (id != kNone && !coupling_.dims()[size_t(id)]) return 0;
    in.push_back(id == kNone ? Dims() : dims[size_t(id)]);
  }
  for (ValueId id : node.outputs) {
    if (id != kNone && !coupling_.dims()[size_t(id)]) return 0;
    out.push_back(id == kNone ? Dims() : dims[size_t(id)]);
  }
  return node.op->macs(node, in, out);
}

int64_t ChannelPlan::count_parameters(const std::vector<Dims>& dims, ValueId id) const {
  return is_weight_[size_t(id)] ? count_of(dims[size_t(id)]) : 0;
}

ChannelPlan::Saving ChannelPlan::saving(int group) const {
  std::set<int> nodes;
  std::set<ValueId> values;
  for (const Slice& slice : groups_[size_t(group)].slices) {
    values.insert(slice.value);
    nodes.insert(readers_[size_t(slice.value)].begin(), readers_[size_t(slice.value)].end());
  }
  Saving saving;
  for (int n : nodes) saving.macs += node_macs(size_t(n), dims_);
  for (ValueId id : values) saving.parameters += count_parameters(dims_, id);
  for (const Slice& slice : groups_[size_t(group)].slices) --dims_[size_t(slice.value)][size_t(slice.axis)];
  for (int n : nodes) saving.macs -= node_macs(size_t(n), dims_);
  for (ValueId id : values) saving.parameters -= count_parameters(dims_, id);
  for (const Slice& slice : groups_[size_t(group)].slices) ++dims_[size_t(slice.value)][size_t(slice.axis)];
  return saving;
}

bool ChannelPlan::can_cut(int group) const {
  const auto& slices = groups_[size_t(group)].slices;
  for (size_t i = 0, first = 0; i < slices.size(); ++i) {
    if (slices[i].value != slices[first].value || slices[i].axis != slices[first].axis) first = i;
    if (dims_[size_t(slices[i].value)][size_t(slices[i].axis)] <= int64_t(i - first) + 1) return false;
  }
  return !cut_[size_t(group)];
}

void ChannelPlan::cut(int group) {
  const Saving saved = saving(group);
  macs_ -= saved.macs;
  parameters_ -= saved.parameters;
  for (const Slice& slice : groups_[size_t(group)].slices) --dims_[size_t(slice.value)][size_t(slice.axis)];
  cut_[size_t(group)] = 1;
}

Cuts ChannelPlan::cuts() const {
  Cuts cuts;
  for (size_t g = 0; g < groups_.size(); ++g)
    if (cut_[g])
      for (const Slice& slice : groups_[g].slices) cuts[{slice.value, slice.axis}].push_back(slice.index);
  for (auto& [place, indices] : cuts) std::sort(indices.begin(), indices.end());
  return cuts;
}

std::string ChannelPlan::name_of(const ChannelClass& channels) const {
  std::string text;
  for (size_t i = 0; i < channels.makers.size(); ++i) {
    if (i == 3) return text + " and " + std::to_string(channels.makers.size() - 3) + " more";
    const Node& node = graph_.nodes[size_t(layers_[size_t(channels.makers[i])].node)];
    text += (i == 0 ? "" : ", ") + (node.name.empty() ? graph_.at(node.outputs[0]).name : node.name);
  }
  return text.empty() ? graph_.at(channels.axes[0].first).name : text;
}

void with_untouched(const Graph& graph, const std::function<void(const std::map<int, std::string>&)>& attempt) {
  std::map<int, std::string> untouched;
  for (;;) {
    try {
      return attempt(untouched);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      int culprit = -1;
      for (size_t n = 0; n < graph.nodes.size(); ++n)
        if (graph.nodes[n].where() == error.where() && !untouched.count(int(n))) { culprit = int(n); break; }
      if (culprit < 0) throw;
      untouched[culprit] = "it " + error.problem() + " when channels are cut";
    }
  }
}

}  // namespace pare
