// Sets the weights that matter least to zero. A pruned weight is a tensor with zeros and nothing else, so every later pass
// and file takes it; engine and formats see the zeros.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/simplify.h"
#include "passes/pass.h"
#include "passes/prune_layers.h"
#include "passes/prune_scores.h"
#include "passes/prune_stages.h"
#include "passes/solvers/prune_pattern.h"
#include "passes/solvers/prune_scope.h"
#include "passes/statistics/layer_columns.h"
#include "passes/training.h"

namespace pare {
namespace {

template <class Row>
std::vector<std::string> names_of(std::span<const Row> rows) {
  std::vector<std::string> names;
  for (const Row& row : rows) names.emplace_back(row.name);
  return names;
}
template <class Row>
std::string help_of(const char* question, std::span<const Row> rows) {
  std::string help = question;
  for (const Row& row : rows) help += fmt::format("{}{}: {}", &row == rows.data() ? " " : "; ", row.name, row.summary);
  return help;
}

struct PruneWeights {
  double sparsity = 0.5;
  std::string score = "magnitude";
  std::string pattern = "unstructured";
  std::string scope = "layer";
  std::string spare = "auto";
  double damping = 0.01;
  std::string schedule = "none";
  double until = 0.6;
  static std::vector<Field> fields() {
    static const std::string scores = help_of("what a weight is worth.", prune_scores()), scopes = help_of("which layers give how much.", prune_scopes());
    return FieldList<PruneWeights>()
        .number("sparsity", &PruneWeights::sparsity, 0, 0.999, "", "the fraction of all weights of convolutions and linear layers that becomes zero, spared layers included: the others take more. An N:M pattern decides it itself", {"0.5", "0.7", "0.9"})
        .word("score", &PruneWeights::score, names_of(prune_scores()), scores.c_str(), {"magnitude", "wanda", "obs", "first-order"})
        .word("pattern", &PruneWeights::pattern, {}, "unstructured; N:M (2:4, 16:64): of every M inputs of an output at one tap N stay; blocks of outputs x inputs that go together (4x1, 16x4, 32x4)", {"unstructured", "4x1", "16x4"})
        .word("scope", &PruneWeights::scope, names_of(prune_scopes()), scopes.c_str(), {"layer", "global", "erk"})
        .word("spare", &PruneWeights::spare, {}, "layers left dense: names or operators, * for anything, | between them; auto among them: the first convolution, depthwise ones and small last layers; none: no layer")
        .number("damping", &PruneWeights::damping, 1e-6, 1, "", "for score=obs: added to the diagonal of the inputs' second moments, in units of its mean; more where there are few samples")
        .word("schedule", &PruneWeights::schedule, {"none", "cubic"}, "none: all at once; cubic: little by little while the finetune or distil behind it trains, many at first and few in the end", {"none", "cubic"})
        .number("until", &PruneWeights::until, 0.01, 0.95, "", "for schedule=cubic: the part of all training steps after which the sparsity is reached")
        .take();
  }
};

double percent(int64_t part, int64_t whole) { return 100 * double(part) / double(std::max<int64_t>(whole, 1)); }

// The layers that are pruned, and what their data says.
struct Candidates {
  std::vector<PruneOrder> orders;
  std::vector<LayerColumns> columns;   // where the score needs the data of all layers at once
  std::map<std::string, std::vector<float>> changes;  // of the loss, by constant, where the score needs them
};

// `columns`: null where the score needs none, or where `candidates` holds them.
std::vector<float> scores_of(const Graph& graph, const Candidates& candidates, size_t l, const PruneWeights& options, const LayerColumns* columns = nullptr) {
  const PrunableLayer& layer = *candidates.orders[l].layer;
  if (columns == nullptr && !candidates.columns.empty()) columns = &candidates.columns[l];
  const auto found = candidates.changes.find(graph.at(layer.value).name);
  const std::vector<float> weights = merged_matrix(graph, layer), changes = found == candidates.changes.end() ? std::vector<float>() : as_matrix(layer, found->second);
  return find_score(options.score).scores({layer, weights, columns, options.damping, changes});
}

// Squared errors of different layers compare by their share of the layer's output: Σ w²·Σx², inputs taken as independent.
std::vector<float> as_shares(const Graph& graph, const PrunableLayer& layer, const LayerColumns& columns, std::vector<float> scores) {
  double energy = 0;
  const std::vector<float> weights = merged_matrix(graph, layer);
  for (float s : find_score("wanda").scores({layer, weights, &columns})) energy += s;
  for (float& s : scores) s = energy > 0 ? float(s / energy) : s;
  return scores;
}

// What a threshold over all layers looks at. Layers are measured as many at a time as fit the memory.
std::vector<std::vector<PruneUnit>> units_of(const Graph& graph, const Candidates& candidates, const PruneWeights& options, const PrunePattern& pattern, PassRun& pass) {
  const PruneScore& score = find_score(options.score);
  std::vector<std::vector<PruneUnit>> units;
  constexpr int64_t most_bytes = int64_t(1) << 30;
  const auto& orders = candidates.orders;
  for (size_t first = 0; first < orders.size();) {
    std::vector<const PrunableLayer*> layers;
    do layers.push_back(orders[first + layers.size()].layer);
    while (first + layers.size() < orders.size() && column_bytes(graph, layers, score.needs != PruneScore::products, false) < most_bytes);
    std::vector<LayerColumns> columns;
    if (score.needs == PruneScore::products) columns = measure_columns(graph, layers, {false, nullptr, fmt::format("prune-weights: layers {} to {} of {}", first + 1, first + layers.size(), orders.size())}, pass);
    for (size_t i = 0; i < layers.size(); ++i) {
      const LayerColumns* seen = !columns.empty() ? &columns[i] : !candidates.columns.empty() ? &candidates.columns[first + i] : nullptr;
      std::vector<float> scores = scores_of(graph, candidates, first + i, options, seen);
      if (seen != nullptr) scores = as_shares(graph, *layers[i], *seen, std::move(scores));
      units.push_back(prune_units(scores, layers[i]->shape, pattern));
    }
    first += layers.size();
  }
  return units;
}

// How many weights each candidate loses, so that of all weights the fraction asked for is gone.
void share_out(const Graph& graph, Candidates& candidates, const PruneWeights& options, const PrunePattern& pattern, int64_t total, PassRun& pass) {
  std::vector<PruneOrder>& orders = candidates.orders;
  int64_t available = 0;
  for (const PruneOrder& order : orders) available += order.layer->shape.count();
  if (pattern.fixed()) {
    int64_t pruned = 0;
    for (PruneOrder& order : orders) pruned += order.pruned = fixed_count(order.layer->shape, pattern);
    pass.notes.push_back(fmt::format("{} leaves {} of {} inputs in each of these layers: {:.1f} % of all weights go (sparsity= and scope= are for other patterns)", options.pattern, pattern.keep, pattern.of, percent(pruned, total)));
    return;
  }
  const auto wanted = int64_t(std::llround(options.sparsity * double(total)));
  if (wanted >= available && wanted > 0)
    throw Error("prune-weights", fmt::format("sparsity={} of all {} weights is more than the {} that are not spared", number_text(options.sparsity), total, available),
                "ask for less, or spare fewer layers (spare=none)");
  const PruneScope& scope = find_scope(options.scope);
  std::vector<ScopeLayer> layers;
  for (const PruneOrder& order : orders) layers.push_back({order.layer->shape.count(), order.layer->perimeter, {}});
  if (scope.compares_scores) {
    auto units = units_of(graph, candidates, options, pattern, pass);
    for (size_t i = 0; i < layers.size(); ++i) layers[i].units = std::move(units[i]);
  }
  const std::vector<int64_t> counts = scope.share_out(layers, wanted);
  for (size_t i = 0; i < counts.size(); ++i) orders[i].pruned = counts[i];
}

void note_extremes(const std::vector<PruneOrder>& orders, PassRun& pass) {
  const auto share = [](const PruneOrder& o) { return percent(o.pruned, o.layer->shape.count()); };
  if (orders.empty()) return;
  const auto [least, most] = std::minmax_element(orders.begin(), orders.end(), [&](const PruneOrder& a, const PruneOrder& b) { return share(a) < share(b); });
  if (share(*most) - share(*least) < 0.5)
    pass.notes.push_back(fmt::format("{} layers lose {:.1f} % each", orders.size(), share(*most)));
  else
    pass.notes.push_back(fmt::format("of {} layers {} loses least ({:.1f} %), {} most ({:.1f} %)", orders.size(), least->layer->name, share(*least), most->layer->name, share(*most)));
  const auto worst = std::max_element(orders.begin(), orders.end(), [](const PruneOrder& a, const PruneOrder& b) { return a.relative_error < b.relative_error; });
  if (worst->relative_error > 0) pass.notes.push_back(fmt::format("{} is hurt most: its output stands {:.0f} dB above its error", worst->layer->name, -10 * std::log10(worst->relative_error)));
}

void note_spared(const std::vector<PrunableLayer>& layers, PassRun& pass) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const PrunableLayer& layer : layers)
    if (!layer.spared.empty()) by_reason[layer.spared].push_back(layer.name);
  for (const auto& [reason, names] : by_reason) pass.notes.push_back(fmt::format("stays dense: {} ({})", fmt::join(names, ", "), reason));
}

// Masks by the scores alone; what stays is what it was.
void mask_layers(Graph& graph, Candidates& candidates, const PruneWeights& options, const PrunePattern& pattern) {
  const PruneScore& score = find_score(options.score);
  for (size_t l = 0; l < candidates.orders.size(); ++l) {
    PruneOrder& order = candidates.orders[l];
    std::vector<float> weights = weight_matrix(graph, *order.layer);
    const std::vector<float> scores = scores_of(graph, candidates, l, options);
    const std::vector<uint8_t> mask = prune_mask(scores, order.layer->shape, pattern, order.pruned, score.by_rows);
    order.pruned = std::count(mask.begin(), mask.end(), uint8_t(0));
    if (order.pruned == 0) continue;
    for (size_t i = 0; i < mask.size(); ++i) weights[i] = mask[i] != 0 ? weights[i] : 0;
    store_matrix(graph, *order.layer, weights);
  }
}

void prune_now(Graph& graph, const PruneWeights& options, PassRun& pass) {
  const PrunePattern pattern = parse_pattern(options.pattern, "prune-weights");
  const PruneScore& score = find_score(options.score);
  if (score.needs == PruneScore::squares || score.needs == PruneScore::products) need_samples(pass.samples, fmt::format("prune-weights{{score={}}}", score.name));
  // Otherwise they stay for training, which goes better with them.
  if (score.refits)
    if (const int folded = fold_batch_norms(graph)) pass.notes.push_back(fmt::format("merged {} batch normalizations first: weights are fitted with all that scales them", folded));
  std::vector<PrunableLayer> layers = prunable_layers(graph);
  spare_layers(graph, options.spare, layers);
  if (layers.empty()) pass.notes.push_back("the graph has no convolution and no linear layer with constant weights");
  note_spared(layers, pass);
  Candidates candidates;
  int64_t total = 0;
  for (const PrunableLayer& layer : layers) {
    total += layer.shape.count();
    if (layer.spared.empty()) candidates.orders.push_back({&layer, 0, 0});
  }
  std::vector<const PrunableLayer*> pruned;
  for (const PruneOrder& order : candidates.orders) pruned.push_back(order.layer);
  if (score.needs == PruneScore::squares) candidates.columns = measure_columns(graph, pruned, {true, nullptr, "prune-weights: calibration"}, pass);
  if (score.needs == PruneScore::gradients) candidates.changes = loss_changes(graph, "prune-weights", pass);
  share_out(graph, candidates, options, pattern, total, pass);
  if (score.refits) prune_in_stages(graph, candidates.orders, {pattern, options.damping}, pass);
  else mask_layers(graph, candidates, options, pattern);
  for (const PruneOrder& order : candidates.orders) pass.changed += order.pruned > 0;
  note_extremes(candidates.orders, pass);
}

// Zhu & Gupta 2017, To Prune, or Not to Prune, section 3: after the part t of all steps s·(1 − (1 − t / until)³) of the
// weights are gone, so that most go while those that stay can still make up for them.
void prune_gradually(const Graph& graph, const PruneWeights& options, PassRun& pass) {
  if (find_score(options.score).needs != PruneScore::nothing || parse_pattern(options.pattern, "prune-weights").fixed())
    throw UsageError("prune-weights", "schedule=cubic cannot be combined with score=" + options.score + ", pattern=" + options.pattern, "it takes score=magnitude, and a pattern whose sparsity can grow");
  for (const PrunableLayer& layer : prunable_layers(graph))
    if (const Tensor& weight = *graph.constant(layer.value); !weight.plain() && !is_float(weight.parts[0].type()))
      throw UsageError("prune-weights", "schedule=cubic: the weights of '" + layer.name + "' are stored in few bits already", "put prune-weights and its training in front of the quantization");
  pass.pruning.until = options.until;
  pass.pruning.recipe = print_fields(PruneWeights::fields(), &options);
  pass.pruning.prune = [options](Graph& trained, double part) {
    PruneWeights now = options;
    now.sparsity = options.sparsity * (1 - std::pow(1 - std::min(part / options.until, 1.0), 3));
    const Observations nothing;
    PassRun silent{.observed = nothing, .reference = trained};
    prune_now(trained, now, silent);
  };
  pass.notes.push_back(fmt::format("{:.4g} % of the weights go while the next pass trains, the last of them after {:.4g} % of its steps", 100 * options.sparsity, 100 * options.until));
}

void run(Graph& graph, const PruneWeights& options, PassRun& pass) {
  if (options.schedule == "none") prune_now(graph, options, pass);
  else prune_gradually(graph, options, pass);
}

}  // namespace

Pass pass_prune_weights() {
  Pass pass = declare_pass<PruneWeights>("prune-weights", "Sets the weights that matter least to zero: anywhere, N of M, or in blocks.",
                                         "Han et al. 2015, Learning both Weights and Connections, section 3; Sun et al. 2023 (wanda); Frantar & Alistarh 2023, SparseGPT, section 3 (obs); Molchanov et al. 2019, section 3.1 (first-order); Zhu & Gupta 2017, section 3 (schedule=cubic); Evci et al. 2020, section 3.1 (erk)", false, run);
  pass.data = "yes, with score=wanda and score=obs: a calibration split; with score=first-order: a training split";
  return pass;
}

}  // namespace pare
