// The cost of each compressed layer at the model's output: the layer is transplanted into the baseline, alone. What comes
// in from before and what later layers forgive are both told apart that way, which SQNR at the layer cannot.
#include "measure/autopsy.h"

#include <algorithm>
#include <cmath>

#include "engine/output_error.h"
#include "graph/graft.h"
#include "graph/simplify.h"

namespace pare {
namespace {

constexpr size_t kSamples = 2;     // layers are ranked, not measured to the decimal
constexpr size_t kDissected = 8;   // layers told apart into weights and inputs

Graph merged(const Graph& graph) {
  Graph copy = graph;  // weights are shared
  remove_no_ops(copy);
  fold_batch_norms(copy);
  return copy;
}

}  // namespace

LayerCosts measure_layer_costs(const Graph& small, const Graph& baseline, const std::vector<std::vector<Array>>& inputs,
                               const MeasureOptions& options) {
  if (inputs.empty()) return {};
  const Graph whole = merged(baseline);
  const std::vector<SharedLayer> layers = shared_layers(whole, small);
  const OutputError error(whole, {inputs.begin(), inputs.begin() + int64_t(std::min(kSamples, inputs.size()))}, options.threads);
  const auto alone = [&](const SharedLayer& layer, Graft what) { return error.sqnr_db(small, layer, what); };
  std::vector<std::pair<LayerCost, const SharedLayer*>> found;
  for (const SharedLayer& layer : layers) {
    if (interrupted()) throw Error("explain", "interrupted");
    if (options.progress) options.progress("each layer alone", double(found.size()), double(layers.size()));
    found.push_back({{small.nodes[size_t(layer.second)].name, layer.value, alone(layer, Graft::whole), NAN, NAN}, &layer});
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first.output_db < b.first.output_db; });
  LayerCosts costs;
  for (auto& [cost, layer] : found) {
    if (costs.size() < kDissected && std::isfinite(cost.output_db)) {
      cost.weights_db = alone(*layer, Graft::constants);
      cost.inputs_db = alone(*layer, Graft::activations);
    }
    costs.push_back(cost);
  }
  return costs;
}

namespace {

// A name as an option's value: what a recipe reads as its own signs becomes '*'.
std::string recipe_name(std::string name) {
  for (char& c : name)
    if (std::string_view(",{}=|").find(c) != std::string_view::npos) c = '*';
  return name;
}

const LayerCost* cost_of(const LayerCosts& costs, const std::string& node, const std::string& value) {
  for (const LayerCost& cost : costs)
    if (node.empty() ? cost.value == value : cost.node == node) return &cost;
  return nullptr;
}

}  // namespace

void add_layer_cost(LayerRow& row, const LayerCosts& costs, const Graph& small, const std::map<std::string, int>& producers,
                    const std::string& output) {
  const bool nameless = row.name == output;
  const LayerCost* cost = cost_of(costs, nameless ? "" : row.name, output);
  std::string value = output;
  for (int step = 0; nameless && cost == nullptr && step < 4; ++step) {  // back through what is fused behind the layer
    const auto producer = producers.find(value);
    if (producer == producers.end()) break;
    const Node& node = small.nodes[size_t(producer->second)];
    if (!(node.is("Relu") || node.is("Clip") || node.is("LeakyRelu") || node.is("Mul") || node.is("Add") || node.is("QuantizeLinear")) || node.input(0) == kNone) break;
    value = small.at(node.inputs[0]).name;
    cost = cost_of(costs, "", value);
  }
  if (cost == nullptr) return;
  row.output_sqnr_db = cost->output_db;
  if (std::isnan(cost->weights_db)) return;
  row.mend = (cost->inputs_db < cost->weights_db ? "weights-only=" : "exclude=") + recipe_name(cost->node.empty() ? cost->value : cost->node);
}

}  // namespace pare
