#pragma once
#include "graph/graph.h"

namespace pare {

// What of a graph cannot be planned because its extents depend on data (NonMaxSuppression, Loop, …), with all that follows
// from it. It runs node by node after the planned part.
struct Tail {
  struct Source {
    bool planned = true;   // an output of the planned part, else of the tail's graph
    size_t index = 0;
  };
  Graph graph;                    // its inputs: the planned part's outputs, by position
  std::vector<Source> results;    // the outputs of the whole, then the taps
  size_t nodes() const { return graph.nodes.size(); }
};

// Moves the tail out of `graph`, whose outputs become what the tail reads and what was asked for. Empty, and `graph` as it
// was, where everything can be planned.
std::optional<Tail> split_tail(Graph& graph, const std::vector<std::string>& taps);

}  // namespace pare
