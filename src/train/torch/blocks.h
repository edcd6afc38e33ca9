#pragma once
// Stretches of a graph that are computed from one value to one value.
#include <vector>

#include "graph/graph.h"

namespace pare {

// Nodes [first, last) of a graph, and what they are to compute.
struct Block {
  size_t first = 0, last = 0;
  std::vector<ValueId> outputs;
};

// Cuts the graph where a single value carries all that depends on the constants `learned` (by value id), as late as the
// next of their readers permits: a residual branch is one block, and so is a layer with its activation. Blocks end at
// float values that `target` computes too, by name; each reads at least one of the constants.
std::vector<Block> find_blocks(const Graph& graph, const std::vector<char>& learned, const Graph& target);

}  // namespace pare
