// The cost of each compressed layer at the model's output: the layer is transplanted into the baseline, alone. What comes
// in from before and what later layers forgive are both told apart that way, which SQNR at the layer cannot.
#include "measure/autopsy.h"

#include <algorithm>
#include <cmath>

#include "graph/graft.h"
#include "graph/simplify.h"
#include "measure/causes.h"

namespace pare {
namespace {

constexpr size_t kSamples = 2;     // layers are ranked, not measured to the decimal
constexpr size_t kDissected = 8;   // layers told apart into weights and inputs

class Theatre {
 public:
  Theatre(const Graph& baseline, const std::vector<std::vector<Array>>& inputs, const MeasureOptions& options)
      : inputs_(inputs.begin(), inputs.begin() + int64_t(std::min(kSamples, inputs.size()))) {
    session_.threads = options.threads;
    session_.tune = false;
    exact_ = run(baseline);
  }
  // Of all outputs together, each weighted by its own power, so that large boxes do not hide small scores.
  double output_db(const Graph& graph) const {
    const auto results = run(graph);
    std::vector<ValueError> errors(graph.outputs.size());
    for (size_t i = 0; i < results.size(); ++i)
      for (size_t k = 0; k < errors.size(); ++k)
        if (is_float(exact_[i][k].type()) && results[i][k].count() == exact_[i][k].count()) errors[k].see(results[i][k], exact_[i][k]);
    double ratio = 0;
    for (const ValueError& error : errors)
      if (error.signal > 0) ratio = std::max(ratio, error.noise / error.signal);
    return ratio > 0 ? -10 * std::log10(ratio) : INFINITY;
  }

 private:
  std::vector<std::vector<Array>> run(const Graph& graph) const {
    std::vector<std::vector<Array>> results;
    Sessions sessions(graph, session_, 1);
    for (const auto& sample : inputs_) results.push_back(sessions.of(sample).run(sample));
    return results;
  }
  std::vector<std::vector<Array>> inputs_, exact_;
  SessionOptions session_;
};

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
  const Theatre theatre(whole, inputs, options);
  const auto alone = [&](const SharedLayer& layer, Graft what) {
    Graph host = whole;
    graft_layer(host, layer.first, small, layer.second, what);
    infer_shapes(host);
    return theatre.output_db(host);
  };
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
