// Sets the weights that matter least to zero. A pruned weight is a tensor with zeros and nothing else, so every later pass
// and file takes it; engine and formats see the zeros.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/simplify.h"
#include "passes/pass.h"
#include "passes/prune_layers.h"
#include "passes/solvers/prune_pattern.h"
#include "passes/solvers/prune_scope.h"

namespace pare {
namespace {

std::vector<std::string> scope_names() {
  std::vector<std::string> names;
  for (const PruneScope& scope : prune_scopes()) names.push_back(scope.name);
  return names;
}

struct PruneWeights {
  double sparsity = 0.5;
  std::string score = "magnitude";
  std::string pattern = "unstructured";
  std::string scope = "layer";
  std::string spare = "auto";
  static std::vector<Field> fields() {
    return FieldList<PruneWeights>()
        .number("sparsity", &PruneWeights::sparsity, 0, 0.999, "", "the fraction of all weights of convolutions and linear layers that becomes zero, spared layers included: the others take more. An N:M pattern decides it itself", {"0.5", "0.7", "0.9"})
        .word("score", &PruneWeights::score, {"magnitude"}, "what a weight is worth. magnitude: its size", {"magnitude"})
        .word("pattern", &PruneWeights::pattern, {}, "unstructured; N:M (2:4, 16:64): of every M inputs of an output at one tap N stay; blocks of outputs x inputs that go together (4x1, 16x4, 32x4)", {"unstructured", "4x1", "16x4"})
        .word("scope", &PruneWeights::scope, scope_names(), "layer: every layer loses the same share; global: one threshold for all; erk: large layers lose more (Erdős–Rényi-kernel)", {"layer", "global", "erk"})
        .word("spare", &PruneWeights::spare, {}, "layers left dense: names or operators, * for anything, | between them; auto among them: the first convolution, depthwise ones and small last layers; none: no layer")
        .take();
  }
};

// One layer on its way: its weights, what each is worth, and how many it loses.
struct Candidate {
  const PrunableLayer* layer = nullptr;
  std::vector<float> weights, scores;
  int64_t pruned = 0;
};

void score_by_magnitude(Candidate& candidate) {
  candidate.scores.resize(candidate.weights.size());
  for (size_t i = 0; i < candidate.weights.size(); ++i) candidate.scores[i] = candidate.weights[i] * candidate.weights[i];
}

double percent(int64_t part, int64_t whole) { return 100 * double(part) / double(std::max<int64_t>(whole, 1)); }

// How many weights each candidate loses, so that of all weights the fraction asked for is gone.
void share_out(std::vector<Candidate>& candidates, const PruneWeights& options, const PrunePattern& pattern, int64_t total, PassRun& pass) {
  int64_t available = 0;
  for (const Candidate& candidate : candidates) available += candidate.layer->shape.count();
  if (pattern.fixed()) {
    int64_t pruned = 0;
    for (Candidate& candidate : candidates) pruned += candidate.pruned = fixed_count(candidate.layer->shape, pattern);
    pass.notes.push_back(fmt::format("{} leaves {} of {} inputs in each of these layers: {:.1f} % of all weights go (sparsity= and scope= are for other patterns)", options.pattern, pattern.keep, pattern.of, percent(pruned, total)));
    return;
  }
  const auto wanted = int64_t(std::llround(options.sparsity * double(total)));
  if (wanted >= available && wanted > 0)
    throw Error("prune-weights", fmt::format("sparsity={} of all {} weights is more than the {} that are not spared", number_text(options.sparsity), total, available),
                "ask for less, or spare fewer layers (spare=none)");
  const PruneScope& scope = find_scope(options.scope);
  std::vector<ScopeLayer> layers;
  for (const Candidate& candidate : candidates) {
    layers.push_back({candidate.layer->shape.count(), candidate.layer->perimeter, {}});
    if (scope.compares_scores) layers.back().units = prune_units(candidate.scores, candidate.layer->shape, pattern);
  }
  const std::vector<int64_t> counts = scope.share_out(layers, wanted);
  for (size_t i = 0; i < counts.size(); ++i) candidates[i].pruned = counts[i];
}

void note_extremes(const std::vector<Candidate>& candidates, PassRun& pass) {
  const auto share = [](const Candidate& c) { return percent(c.pruned, c.layer->shape.count()); };
  const auto [least, most] = std::minmax_element(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) { return share(a) < share(b); });
  if (candidates.empty()) return;
  if (share(*most) - share(*least) < 0.5)
    pass.notes.push_back(fmt::format("{} layers lose {:.1f} % each", candidates.size(), share(*most)));
  else
    pass.notes.push_back(fmt::format("of {} layers {} loses least ({:.1f} %), {} most ({:.1f} %)", candidates.size(), least->layer->name, share(*least), most->layer->name, share(*most)));
}

void note_spared(const std::vector<PrunableLayer>& layers, PassRun& pass) {
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const PrunableLayer& layer : layers)
    if (!layer.spared.empty()) by_reason[layer.spared].push_back(layer.name);
  for (const auto& [reason, names] : by_reason) pass.notes.push_back(fmt::format("stays dense: {} ({})", fmt::join(names, ", "), reason));
}

void run(Graph& graph, const PruneWeights& options, PassRun& pass) {
  const PrunePattern pattern = parse_pattern(options.pattern, "prune-weights");
  if (const int folded = fold_batch_norms(graph)) pass.notes.push_back(fmt::format("merged {} batch normalizations first: they are part of what a weight is worth", folded));
  std::vector<PrunableLayer> layers = prunable_layers(graph);
  spare_layers(graph, options.spare, layers);
  note_spared(layers, pass);
  std::vector<Candidate> candidates;
  int64_t total = 0;
  for (const PrunableLayer& layer : layers) {
    total += layer.shape.count();
    if (!layer.spared.empty()) continue;
    candidates.push_back({&layer, weight_matrix(graph, layer), {}, 0});
    score_by_magnitude(candidates.back());
  }
  if (layers.empty()) pass.notes.push_back("the graph has no convolution and no linear layer with constant weights");
  share_out(candidates, options, pattern, total, pass);
  for (Candidate& candidate : candidates) {
    const std::vector<uint8_t> mask = prune_mask(candidate.scores, candidate.layer->shape, pattern, candidate.pruned, false);
    candidate.pruned = std::count(mask.begin(), mask.end(), uint8_t(0));
    if (candidate.pruned == 0) continue;
    for (size_t i = 0; i < mask.size(); ++i) candidate.weights[i] = mask[i] != 0 ? candidate.weights[i] : 0;
    store_matrix(graph, *candidate.layer, candidate.weights);
    ++pass.changed;
  }
  note_extremes(candidates, pass);
}

}  // namespace

Pass pass_prune_weights() {
  return declare_pass<PruneWeights>("prune-weights", "Sets the weights that matter least to zero: anywhere, N of M, or in blocks.",
                                    "Han et al. 2015, Learning both Weights and Connections, section 3; patterns: Mishra et al. 2021, Accelerating Sparse Deep Neural Networks, section 3", false, run);
}

}  // namespace pare
