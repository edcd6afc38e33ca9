// Which layer gives how much: the same share each, by one threshold for all, or more where a layer is large.
#include "passes/solvers/prune_scope.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace pare {
namespace {

// Whole numbers that follow `shares` and sum to `total`: what rounding leaves over in one goes to the next.
std::vector<int64_t> whole(const std::vector<double>& shares, std::span<const ScopeLayer> layers, int64_t total) {
  double sum = 0, so_far = 0;
  for (double share : shares) sum += share;
  std::vector<int64_t> counts;
  int64_t given = 0;
  for (size_t i = 0; i < shares.size(); ++i) {
    so_far += shares[i];
    const auto due = int64_t(std::llround(sum > 0 ? double(total) * (so_far / sum) : 0.0));
    counts.push_back(std::clamp<int64_t>(due - given, 0, layers[i].count));
    given += counts.back();
  }
  return counts;
}

std::vector<int64_t> equal_shares(std::span<const ScopeLayer> layers, int64_t pruned) {
  std::vector<double> shares;
  for (const ScopeLayer& layer : layers) shares.push_back(double(layer.count));
  return whole(shares, layers, pruned);
}

// Erdős–Rényi-kernel: a layer's density is proportional to perimeter / count, at most 1 (Evci et al. 2020, Rigging the
// Lottery, section 3.1; Mocanu et al. 2018).
std::vector<int64_t> erdos_renyi_shares(std::span<const ScopeLayer> layers, int64_t pruned) {
  std::vector<char> dense(layers.size(), 0);
  double factor = 0;
  for (bool changed = true; changed;) {
    double kept = -double(pruned), perimeters = 0;  // what the layers that are not dense keep between them
    for (size_t i = 0; i < layers.size(); ++i) {
      if (!dense[i]) kept += double(layers[i].count), perimeters += double(layers[i].perimeter);
    }
    factor = perimeters > 0 ? kept / perimeters : 0;
    changed = false;
    for (size_t i = 0; i < layers.size(); ++i)
      if (!dense[i] && factor * double(layers[i].perimeter) >= double(layers[i].count)) dense[i] = changed = true;
  }
  std::vector<double> shares;
  for (size_t i = 0; i < layers.size(); ++i) shares.push_back(dense[i] ? 0.0 : std::max(0.0, double(layers[i].count) - factor * double(layers[i].perimeter)));
  return whole(shares, layers, pruned);
}

// One threshold for all weights. The best unit of a layer stays, so that none is cut through.
std::vector<int64_t> global_shares(std::span<const ScopeLayer> layers, int64_t pruned) {
  struct Candidate {
    float score;
    int64_t count;
    size_t layer;
  };
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto best = std::max_element(layers[i].units.begin(), layers[i].units.end(), [](const PruneUnit& a, const PruneUnit& b) { return a.score < b.score; });
    for (auto unit = layers[i].units.begin(); unit != layers[i].units.end(); ++unit)
      if (unit != best) candidates.push_back({unit->score, unit->count(), i});
  }
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
  std::vector<int64_t> counts(layers.size(), 0);
  for (const Candidate& candidate : candidates) {
    if (2 * pruned < candidate.count || pruned <= 0) break;
    counts[candidate.layer] += candidate.count;
    pruned -= candidate.count;
  }
  return counts;
}

constexpr PruneScope kScopes[] = {
    {"layer", "every layer loses the same share", false, equal_shares},
    {"global", "one threshold for all layers", true, global_shares},
    {"erk", "large layers lose more (Erdős–Rényi-kernel)", false, erdos_renyi_shares},
};

}  // namespace

std::span<const PruneScope> prune_scopes() { return kScopes; }

const PruneScope& find_scope(const std::string& name) {
  const auto found = std::find_if(std::begin(kScopes), std::end(kScopes), [&](const PruneScope& scope) { return scope.name == name; });
  PARE_CHECK(found != std::end(kScopes));
  return *found;
}

}  // namespace pare
