#pragma once
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// A weight that passes may encode: a float constant that a convolution, linear layer, matrix product or embedding reads.
struct WeightUse {
  int node = 0;          // index of the reading node
  size_t input = 1;      // which of its inputs
  ValueId value = kNone;
  int channel_axis = 0;  // the axis of output channels (embedding: of rows)
  bool linear = false;   // Gemm or MatMul rather than convolution or embedding
};
// In graph order; a weight shared between nodes appears once a use.
std::vector<WeightUse> weight_uses(const Graph& graph);

// Nodes with a node of `among` (a flag each) somewhere in front of them (forward), or behind them.
std::vector<char> nodes_beyond(const Graph& graph, const std::vector<char>& among, bool forward);

// What rounding a layer's weights adds to the mean of each output: Σ over inputs of mean[input] · (rounded − exact). Weights are [outputs,
// inputs/groups, taps…] (axis 0) or a matrix [inputs, outputs] (axis 1), `means` of all groups' inputs; of another number: nothing.
std::vector<double> mean_shift(const Array& exact, const Array& rounded, int axis, const std::vector<double>& means);

// Replaces a constant for all its readers.
void replace_constant(Graph& graph, ValueId value, Tensor tensor);

// "conv1|stage2*" : names separated by '|', '*' stands for anything; matches a node's name or its operator type.
// The names of "a|b|c", empty ones left out.
std::vector<std::string> names_in(const std::string& list);
bool name_matches(const std::string& patterns, const Node& node);

}  // namespace pare
