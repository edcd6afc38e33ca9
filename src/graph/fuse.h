#pragma once
// What the fusing rewrites share: who makes and who reads a value, and whether it may vanish.
#include <algorithm>

#include "graph/graph.h"

namespace pare {

class Uses {
 public:
  explicit Uses(const Graph& graph) : graph_(graph), producers_(graph.producers()), consumers_(graph.consumers()) {
    fixed_.assign(graph.values.size(), 0);
    for (ValueId id : graph.outputs) fixed_[size_t(id)] = 1;
    // A subgraph may read any value of this graph by its name.
    for (const Node& node : graph.nodes)
      for (const auto& [key, attribute] : node.attributes)
        if (std::holds_alternative<std::shared_ptr<Graph>>(attribute)) pin_outer(*std::get<std::shared_ptr<Graph>>(attribute));
  }

  // The node that makes `id`, null for inputs and constants.
  const Node* producer(ValueId id) const { return id != kNone && producers_[size_t(id)] >= 0 ? &graph_.nodes[size_t(producers_[size_t(id)])] : nullptr; }
  int producer_index(ValueId id) const { return id == kNone ? -1 : producers_[size_t(id)]; }
  // The only node that reads `id`, -1 where there is none, several, or the value must stay.
  int only_consumer(ValueId id) const { return !fixed_[size_t(id)] && consumers_[size_t(id)].size() == 1 ? consumers_[size_t(id)][0] : -1; }
  // Nobody outside of `nodes` needs it.
  bool inside(ValueId id, const std::vector<int>& nodes) const {
    if (fixed_[size_t(id)]) return false;
    return std::all_of(consumers_[size_t(id)].begin(), consumers_[size_t(id)].end(), [&](int n) { return std::find(nodes.begin(), nodes.end(), n) != nodes.end(); });
  }

 private:
  void pin_outer(const Graph& inner) {
    for (const Value& value : inner.values)
      if (value.outer)
        if (const ValueId id = graph_.find(value.name); id != kNone) fixed_[size_t(id)] = 1;
  }
  const Graph& graph_;
  std::vector<int> producers_;
  std::vector<std::vector<int>> consumers_;
  std::vector<char> fixed_;
};

// The only element of a float constant.
inline std::optional<float> scalar_of(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || tensor->count() != 1 || !tensor->plain() || !is_float(tensor->type)) return std::nullopt;
  return tensor->decode().to_floats()[0];
}

inline std::optional<Dims> dims_of(const Graph& graph, ValueId id) {
  return id != kNone && graph.at(id).shape ? known_dims(*graph.at(id).shape) : std::nullopt;
}

}  // namespace pare
