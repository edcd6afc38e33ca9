#include "engine/tail.h"

#include <algorithm>

#include "engine/front.h"
#include "graph/op.h"

namespace pare {
namespace {

bool foretold(const Graph& graph, const Node& node) {
  return std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
    return id == kNone || (graph.at(id).shape && known_dims(*graph.at(id).shape) && graph.at(id).type != Type::none);
  });
}

size_t place_of(std::vector<ValueId>& ids, ValueId id) {
  const auto it = std::find(ids.begin(), ids.end(), id);
  if (it == ids.end()) ids.push_back(id);
  return size_t(std::find(ids.begin(), ids.end(), id) - ids.begin());
}

}  // namespace

std::optional<Tail> split_tail(Graph& graph, const std::vector<std::string>& taps) {
  std::vector<ValueId> wanted = graph.outputs;
  for (const std::string& tap : taps) {
    wanted.push_back(graph.find(tap));
    if (wanted.back() == kNone) throw Error("value '" + tap + "'", "is not in the model");
  }
  // Values by node order: those of the tail, and constants that are asked for, which no step computes.
  std::vector<bool> late(graph.values.size());
  std::vector<char> moved(graph.nodes.size(), 0);
  for (ValueId id : wanted) late[size_t(id)] = graph.constant(id) != nullptr;
  bool any = std::any_of(late.begin(), late.end(), [](bool is) { return is; });
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const auto read = read_by(graph, node);
    moved[n] = !foretold(graph, node) || std::any_of(read.begin(), read.end(), [&](ValueId id) { return late[size_t(id)] && graph.constant(id) == nullptr; });
    any |= moved[n] != 0;
    if (!moved[n]) continue;
    executable(node);  // the others may be fused nodes that only lowerings know
    for (ValueId id : node.outputs)
      if (id != kNone) late[size_t(id)] = true;
  }
  if (!any) return std::nullopt;
  Tail tail;
  tail.graph = graph;
  std::vector<char> stays;
  for (const char gone : moved) stays.push_back(!gone);
  std::vector<ValueId> handed, late_outputs;
  for (size_t n = 0; n < moved.size(); ++n)
    if (moved[n])
      for (ValueId id : read_by(graph, graph.nodes[n]))
        if (!late[size_t(id)] && graph.constant(id) == nullptr) place_of(handed, id);
  tail.graph.inputs = handed;
  for (ValueId id : wanted) {
    const bool planned = !late[size_t(id)];
    tail.results.push_back({planned, place_of(planned ? handed : late_outputs, id)});
  }
  tail.graph.outputs = late_outputs;
  tail.graph.remove_nodes(stays);
  tail.graph.remove_unused();
  graph.outputs = handed;
  graph.remove_nodes(moved);
  graph.remove_unused();
  return tail;
}

}  // namespace pare
