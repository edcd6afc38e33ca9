#include "engine/output_error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pare {
namespace {

// Noise over signal; 0 where the values are the same, infinite where one is not a number.
double noise_ratio(const std::vector<std::vector<Array>>& results, size_t result, const std::vector<std::vector<Array>>& exact, size_t output) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const Array &x = results[i][result], &y = exact[i][output];
    if (!is_float(y.type()) || x.count() != y.count()) continue;
    const std::vector<float> ours = x.to_floats(), theirs = y.to_floats();
    for (size_t k = 0; k < ours.size(); ++k) {
      if (!std::isfinite(theirs[k])) continue;
      signal += double(theirs[k]) * theirs[k];
      noise += (double(ours[k]) - theirs[k]) * (double(ours[k]) - theirs[k]);
    }
  }
  if (std::isnan(noise)) return INFINITY;
  return signal > 0 ? noise / signal : 0;
}

// Sums in another order, as in a layer fused elsewhere, leave less: nothing differs.
constexpr double kSameRatio = 1e-11;

// By value: made by the nodes in front of `node`, or given.
std::vector<char> values_before(const Graph& graph, int node) {
  std::vector<char> before(graph.values.size(), 0);
  for (ValueId id : graph.inputs) before[size_t(id)] = 1;
  for (int n = 0; n < node; ++n)
    for (ValueId id : graph.nodes[size_t(n)].outputs)
      if (id != kNone) before[size_t(id)] = 1;
  return before;
}

// What remains to be run where values `before` are known. Whole numbers are computed again, not read: extents follow from
// them, which a session has to know.
struct Rest {
  std::vector<char> done;       // by node
  std::vector<ValueId> reads;   // known values
};
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
    for (ValueId id : node.inputs)
      if (id != kNone) wanted[size_t(id)] = 1;
    for (const std::string& name : outer_names(node))
      if (const ValueId id = graph.find(name); id != kNone) wanted[size_t(id)] = 1;
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

// The arrays of `wanted` among those of `ids`; empty where one is missing.
std::optional<std::vector<std::vector<Array>>> chosen(const std::vector<ValueId>& wanted, const std::vector<ValueId>& ids, const std::vector<std::vector<Array>>& values) {
  std::vector<std::vector<Array>> result(values.size());
  for (ValueId id : wanted) {
    const auto at = std::find(ids.begin(), ids.end(), id);
    if (at == ids.end()) return std::nullopt;
    for (size_t i = 0; i < values.size(); ++i) result[i].push_back(values[i][size_t(at - ids.begin())]);
  }
  return result;
}

}  // namespace

OutputError::OutputError(const Graph& baseline, std::vector<std::vector<Array>> samples, int threads) : baseline_(baseline), samples_(std::move(samples)) {
  session_.threads = threads;
  session_.tune = false;  // what is computed matters here, not how fast
  infer_shapes(baseline_);
  exact_ = run(baseline_, samples_);
}

OutputError::Arrays OutputError::run(const Graph& graph, const Arrays& samples) const {
  Arrays results;
  Sessions sessions(graph, session_, 1);
  for (const auto& sample : samples) results.push_back(sessions.of(sample).run(sample));
  return results;
}

// `results` hold the outputs of these numbers; the others are the baseline's.
double OutputError::worst_db(const Arrays& results, const std::vector<size_t>& outputs) const {
  double ratio = 0;
  for (size_t i = 0; i < outputs.size(); ++i) ratio = std::max(ratio, noise_ratio(results, i, exact_, outputs[i]));
  return ratio > kSameRatio ? -10 * std::log10(ratio) : INFINITY;
}

double OutputError::sqnr_db(const Graph& graph) const {
  std::vector<size_t> all(baseline_.outputs.size());
  std::iota(all.begin(), all.end(), size_t(0));
  return worst_db(run(graph, samples_), all);
}

void OutputError::move_front(int node) {
  if (front_.ids.empty() || node < front_.at) front_ = {0, baseline_.inputs, samples_};
  if (node == front_.at) return;
  const Rest from = rest_of(baseline_, values_before(baseline_, front_.at)), to = rest_of(baseline_, values_before(baseline_, node));
  std::vector<ValueId> ids, fresh;
  for (ValueId id : to.reads) (std::find(front_.ids.begin(), front_.ids.end(), id) != front_.ids.end() ? ids : fresh).push_back(id);
  Front next{node, ids, *chosen(ids, front_.ids, front_.values)};
  if (!fresh.empty()) {
    const Arrays made = run(part_of(baseline_, from, fresh), *chosen(from.reads, front_.ids, front_.values));
    for (size_t i = 0; i < made.size(); ++i) next.values[i].insert(next.values[i].end(), made[i].begin(), made[i].end());
    next.ids.insert(next.ids.end(), fresh.begin(), fresh.end());
  }
  front_ = std::move(next);
}

double OutputError::sqnr_db(const Graph& donor, const SharedLayer& layer, Graft what) {
  Graph host = baseline_;
  graft_layer(host, layer.first, donor, layer.second, what);
  infer_shapes(host);
  move_front(layer.first);
  std::vector<char> before = values_before(baseline_, layer.first);
  before.resize(host.values.size(), 0);
  const Rest rest = rest_of(host, before);
  const auto given = chosen(rest.reads, front_.ids, front_.values);
  if (!given) return sqnr_db(host);  // the other form reads what lies further in front
  std::vector<ValueId> outputs;
  std::vector<size_t> numbers;
  for (size_t i = 0; i < host.outputs.size(); ++i)
    if (!before[size_t(host.outputs[i])]) {
      outputs.push_back(host.outputs[i]);
      numbers.push_back(i);
    }
  return outputs.empty() ? INFINITY : worst_db(run(part_of(std::move(host), rest, outputs), *given), numbers);
}

}  // namespace pare
