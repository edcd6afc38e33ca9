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
constexpr int64_t kEnoughValues = 100'000;   // a picture of so many settles the ranking alone
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
  std::vector<std::vector<Array>> samples;
  for (int64_t values = 0; samples.size() < std::min(kSamples, inputs.size()) && values < kEnoughValues;) {
    samples.push_back(inputs[samples.size()]);
    for (const Array& input : samples.back()) values += input.count();
  }
  OutputError error(whole, samples, options.threads);
  const auto alone = [&](const SharedLayer& layer, Graft what) { return error.sqnr_db(small, layer, what); };
  std::vector<std::pair<LayerCost, const SharedLayer*>> found;
  for (const SharedLayer& layer : layers) {
    if (interrupted()) throw Error("explain", "interrupted");
    if (options.progress) options.progress("each layer alone", double(found.size()), double(layers.size()));
    found.push_back({{small.nodes[size_t(layer.second)].name, layer.value, alone(layer, Graft::whole), NAN, NAN}, &layer});
  }
  const auto costlier = [](const auto& a, const auto& b) { return a.first.output_db < b.first.output_db; };
  std::stable_sort(found.begin(), found.end(), costlier);
  // The costliest are dissected in the model's order, in which what lies in front of them is computed once.
  const auto worst_end = found.begin() + int64_t(std::min(kDissected, found.size()));
  std::sort(found.begin(), worst_end, [](const auto& a, const auto& b) { return a.second->first < b.second->first; });
  for (auto one = found.begin(); one != worst_end; ++one) {
    if (interrupted()) throw Error("explain", "interrupted");
    if (options.progress) options.progress("the costliest layers", double(one - found.begin()), double(worst_end - found.begin()));
    if (!std::isfinite(one->first.output_db)) continue;
    one->first.weights_db = alone(*one->second, Graft::constants);
    one->first.inputs_db = alone(*one->second, Graft::activations);
  }
  std::stable_sort(found.begin(), worst_end, costlier);
  LayerCosts costs;
  for (auto& [cost, layer] : found) costs.push_back(cost);
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
