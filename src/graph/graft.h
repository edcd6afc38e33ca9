#pragma once
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// A layer that two forms of one model share: nodes that compute the value of the same name with the same operator, but
// read something else (a rounded weight, a quantized input).
struct SharedLayer {
  int first = 0, second = 0;  // node indices in either graph
  std::string value;          // what both compute
};
// In the first graph's order. Batch normalizations must have been merged in both or in neither.
std::vector<SharedLayer> shared_layers(const Graph& first, const Graph& second);

enum class Graft { whole, constants, activations };
// Makes `node` of the host read what `donor_node` reads: constants, and activations with the nodes that lead to them from
// the first value that the host computes too (QuantizeLinear → DequantizeLinear of it). The host stays sorted.
void graft_layer(Graph& host, int node, const Graph& donor, int donor_node, Graft what = Graft::whole);

}  // namespace pare
