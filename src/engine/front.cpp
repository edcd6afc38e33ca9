#include "engine/front.h"

#include <algorithm>

#include "base/threads.h"

namespace pare {
namespace {

void decode_weights(Graph& graph) {
  for (Value& value : graph.values)
    if (value.constant != nullptr && !value.constant->plain()) value.constant = std::make_shared<const Tensor>(value.constant->decode());
}

}  // namespace

std::vector<ValueId> read_by(const Graph& graph, const Node& node) {
  std::vector<ValueId> ids;
  for (ValueId id : node.inputs)
    if (id != kNone) ids.push_back(id);
  for (const std::string& name : outer_names(node))
    if (const ValueId id = graph.find(name); id != kNone) ids.push_back(id);
  return ids;
}

std::vector<char> values_before(const Graph& graph, int node) {
  std::vector<char> before(graph.values.size(), 0);
  for (ValueId id : graph.inputs) before[size_t(id)] = 1;
  for (int n = 0; n < node; ++n)
    for (ValueId id : graph.nodes[size_t(n)].outputs)
      if (id != kNone) before[size_t(id)] = 1;
  return before;
}

Rest rest_of(const Graph& graph, const std::vector<char>& before) {
  Rest rest{std::vector<char>(graph.nodes.size(), 1), {}};
  std::vector<char> wanted(graph.values.size(), 0), made(graph.values.size(), 0);
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    const auto runs = [&](ValueId id) { return id != kNone && (!before[size_t(id)] || (wanted[size_t(id)] && !is_float(graph.at(id).type))); };
    if (std::none_of(node.outputs.begin(), node.outputs.end(), runs)) continue;
    rest.done[n] = 0;
    for (ValueId id : node.outputs)
      if (id != kNone) made[size_t(id)] = 1;
    for (ValueId id : read_by(graph, node)) wanted[size_t(id)] = 1;
  }
  for (size_t id = 0; id < wanted.size(); ++id)
    if (wanted[id] && !made[id] && graph.constant(ValueId(id)) == nullptr) rest.reads.push_back(ValueId(id));
  return rest;
}

Graph part_of(Graph graph, const Rest& rest, const std::vector<ValueId>& outputs) {
  graph.inputs = rest.reads;
  graph.outputs = outputs;
  graph.remove_nodes(rest.done);
  graph.remove_unused();
  return graph;
}

SessionOptions options_for_samples(const Graph& graph) {
  SessionOptions options;
  options.tune = false;
  options.threads = count_macs(graph) < 500'000'000 ? 1 : threads();
  return options;
}

Front::Arrays run_samples(const Graph& graph, const Front::Arrays& samples, const SessionOptions& options) {
  Front::Arrays results;
  Sessions sessions(graph, options, 1);
  for (const auto& sample : samples) results.push_back(sessions.of(sample).run(sample));
  return results;
}

std::optional<Front::Arrays> Front::values(const std::vector<ValueId>& wanted) const {
  Arrays result(values_.size());
  for (ValueId id : wanted) {
    const auto at = std::find(ids_.begin(), ids_.end(), id);
    if (at == ids_.end()) return std::nullopt;
    for (size_t i = 0; i < values_.size(); ++i) result[i].push_back(values_[i][size_t(at - ids_.begin())]);
  }
  return result;
}

Front::Arrays Front::compute(const Graph& graph, const std::vector<ValueId>& wanted) const {
  const Rest rest = rest_of(graph, values_before(graph, at_));
  Graph part = part_of(graph, rest, wanted);
  if (decoded_) decode_weights(part);
  return run_samples(part, *values(rest.reads), session_);
}

int64_t Front::bytes() const {
  int64_t bytes = 0;
  for (const auto& sample : values_)
    for (const Array& value : sample) bytes += int64_t(value.size_bytes());
  return bytes;
}

void Front::move(const Graph& graph, int node) {
  if (at_ < 0 || node < at_) {
    at_ = 0;
    ids_ = graph.inputs;
    values_ = samples_;
  }
  if (node == at_) return;
  const Rest to = rest_of(graph, values_before(graph, node));
  std::vector<ValueId> kept, fresh;
  for (ValueId id : to.reads) (std::find(ids_.begin(), ids_.end(), id) != ids_.end() ? kept : fresh).push_back(id);
  Arrays next = *values(kept);
  if (!fresh.empty()) {
    const Arrays made = compute(graph, fresh);
    for (size_t i = 0; i < made.size(); ++i) next[i].insert(next[i].end(), made[i].begin(), made[i].end());
  }
  kept.insert(kept.end(), fresh.begin(), fresh.end());
  at_ = node;
  ids_ = std::move(kept);
  values_ = std::move(next);
}

}  // namespace pare
