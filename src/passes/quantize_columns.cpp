// Weights in few bits, a layer's columns one after the other, those behind making up for what each loses.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/simplify.h"
#include "passes/layer_stages.h"
#include "passes/solvers/round_columns.h"
#include "passes/weight_types.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct QuantizeColumns : WeightTypeOptions {
  double damping = 0.01;
  bool act_order = true;
  double sweeps = 4;
  std::string target = "original";
  static std::vector<Field> fields() {
    FieldList<QuantizeColumns> fields;
    std::vector<std::string> names = weight_type_names();
    names.emplace_back("stored");
    return type_fields(fields, std::move(names), "; stored: what an earlier pass (assign-bits) stored each in, from the weights as they were before")
        .number("damping", &QuantizeColumns::damping, 1e-6, 1, "", "added to the diagonal of the inputs' second moments, as a share of its mean: more trusts the calibration data less", {"0.01", "0.1"})
        .flag("act-order", &QuantizeColumns::act_order, "the loudest inputs first, with scales chosen before; no: from left to right, scales chosen on the way", {"yes", "no"})
        .number("sweeps", &QuantizeColumns::sweeps, 0, 100, "", "afterwards, rounds in which each step and level is chosen again, given all others", {"0", "4"})
        .word("target", &QuantizeColumns::target, {"original", "layer"}, "what a layer is fitted to: original: what it computed in the unquantized model; layer: its own weights on its present inputs")
        .take();
  }
};

struct Order {
  const StoredWeight* weight;
  WeightType type;
  double relative_error = 0;
  double seen = 0;  // positions (tokens, pixels) an input
};

void round_layer(Graph& graph, Order& order, const LayerColumns& columns, const QuantizeColumns& options) {
  const PrunableLayer& layer = order.weight->layer;
  order.seen = double(columns.positions()) / double(layer.shape.cols);
  RoundProblem problem;
  problem.rows = layer.shape.rows;
  problem.n = layer.shape.cols;
  problem.weights = weight_matrix(graph, layer);
  problem.products = columns.moments(0);
  if (options.target == "original") problem.cross = columns.cross_moments(0);
  problem.damping = options.damping;
  problem.act_order = options.act_order;
  problem.sweeps = int(options.sweeps);
  const GridOfWeight made = grid_for(order.type, layer, graph.constant(layer.value)->dims, ScaleSearch::least_squares);
  order.relative_error = round_columns(std::move(problem), *made.grid);
  replace_constant(graph, layer.value, made.tensor(*made.grid));
}

// Moments of few positions are those of these alone: SmolLM2-135M in Q4_0, 16 other windows of 512 tokens, diverges from the
// original by 0.155 nats a token with 2.7 tokens an input, by 0.096 with 10.7.
constexpr double kEnoughSeen = 20;

void note_few_positions(const std::vector<Order>& orders, PassRun& pass) {
  const auto least = std::ranges::min_element(orders, {}, &Order::seen);
  if (least == orders.end() || least->seen >= kEnoughSeen) return;
  pass.notes.push_back(fmt::format("{} saw {:.1f} tokens or pixels for each of its {} inputs, which fits it to this data; "
                                   "{:.0f} times as much calibration data would do better on other data",
                                   least->weight->layer.name, least->seen, least->weight->layer.shape.cols,
                                   std::ceil(kEnoughSeen / least->seen)));
}

TypeChoice stored_type(const Graph& graph, const StoredWeight& weight, const std::string& exclude) {
  if (is_excluded(weight, graph, exclude)) return {{}, true, "excluded by the recipe"};
  const auto type = WeightType::of(*graph.constant(weight.layer.value));
  return type ? TypeChoice{*type, false, ""} : TypeChoice{{}, true, "in floats"};
}

// The weights to round again as they were before a pass rounded them.
void restore_weights(Graph& graph, const std::vector<StoredWeight>& weights, const std::vector<TypeChoice>& choices, const PassRun& pass) {
  const Graph& before = pass.floats != nullptr ? *pass.floats : *pass.original;
  for (size_t w = 0; w < weights.size(); ++w) {
    if (choices[w].stays) continue;
    const StoredWeight& weight = weights[w];
    const Tensor* was = before.constant(before.find(graph.at(weight.layer.value).name));
    if (was == nullptr || was->dims != graph.constant(weight.layer.value)->dims)
      throw Error("quantize-columns{type=stored}", "the model has no earlier form of '" + graph.at(weight.layer.value).name + "'", "put it right behind the pass that chose the types");
    replace_constant(graph, weight.layer.value, *was);
  }
}

void run(Graph& graph, const QuantizeColumns& options, PassRun& pass) {
  need_samples(pass.samples, "quantize-columns");
  fold_batch_norms(graph);  // a weight in few bits could not take one up any more
  const std::vector<StoredWeight> weights = stored_weights(graph);
  std::vector<TypeChoice> choices;
  for (const StoredWeight& weight : weights) choices.push_back(options.type == "stored" ? stored_type(graph, weight, options.exclude) : type_for(weight, options.wanted(), graph, options.exclude));
  if (options.type == "stored") restore_weights(graph, weights, choices, pass);
  const Graph original = graph;
  TypeNotes notes;
  std::vector<Order> orders;
  std::vector<std::pair<const StoredWeight*, WeightType>> others;   // each weight by itself
  for (size_t w = 0; w < weights.size(); ++w) {
    const StoredWeight& weight = weights[w];
    const TypeChoice& choice = choices[w];
    notes.add(weight, choice);
    if (choice.stays) continue;
    if (weight.fed_back(choice.type)) orders.push_back({&weight, choice.type});
    else others.emplace_back(&weight, choice.type);
  }
  for (const auto& [weight, type] : others) {
    replace_constant(graph, weight->layer.value, rounded_tensor(graph, *weight, type, ScaleSearch::least_squares, {}));
    ++pass.changed;
  }
  std::vector<const PrunableLayer*> layers;
  for (const Order& order : orders) layers.push_back(&order.weight->layer);
  const StageRequest request{"quantize-columns", "exclude this layer (exclude=), or take quantize-weights", options.target == "original" ? &original : nullptr};
  change_in_stages(graph, layers, request, pass, [&](size_t l, const LayerColumns& columns) { round_layer(graph, orders[l], columns, options); });
  pass.changed += int(orders.size());
  notes.give(pass);
  note_few_positions(orders, pass);
  const auto worst = std::max_element(orders.begin(), orders.end(), [](const Order& a, const Order& b) { return a.relative_error < b.relative_error; });
  if (worst != orders.end()) pass.notes.push_back(fmt::format("{} is hurt most: its output stands {:.1f} dB above its error", worst->weight->layer.name, -10 * std::log10(std::max(worst->relative_error, 1e-30))));
}

}  // namespace

Pass pass_quantize_columns() {
  Pass pass = declare_pass<QuantizeColumns>("quantize-columns", "As quantize-weights, but the columns of a layer make up for each other's rounding errors, layer after layer. Needs data.",
                                            "Frantar et al. 2022, GPTQ, section 3; Behdin et al. 2023, QuantEase, section 3", false, run);
  pass.data = "yes: a calibration split";
  pass.rules = type_rules_text();
  return pass;
}

}  // namespace pare
