#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "passes/solvers/prune_pattern.h"

namespace pare {

// What sharing a number of weights out among layers looks at.
struct ScopeLayer {
  int64_t count = 0;               // weights
  int64_t perimeter = 0;           // sum of the extents of its weight
  std::vector<PruneUnit> units;    // only for scopes that compare across layers
};

// How many weights each layer loses, of `pruned` in all (0 <= pruned <= the layers' weights).
struct PruneScope {
  const char* name;
  const char* summary;
  bool compares_scores;            // its layers need units
  std::vector<int64_t> (*share_out)(std::span<const ScopeLayer> layers, int64_t pruned);
};
std::span<const PruneScope> prune_scopes();
const PruneScope& find_scope(const std::string& name);  // one of prune_scopes()

}  // namespace pare
