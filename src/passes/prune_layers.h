#pragma once
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "passes/solvers/prune_pattern.h"

namespace pare {

// A weight that prune-weights may thin out: of a Conv, Gemm or MatMul; no embedding.
struct PrunableLayer {
  ValueId value = kNone;
  std::vector<int> nodes;        // that read it, in graph order; all see it as the same matrix
  MatrixShape shape;
  int64_t taps = 1;              // of a convolution's kernel
  bool transposed = false;       // stored with the inputs first: [in, out]
  bool left = false;             // a MatMul's first operand
  bool convolution = false;
  bool same_matrix = true;       // all that read it see the same matrix
  int64_t perimeter = 0;         // sum of the extents of its kernel, for ERK
  std::vector<double> factors;   // of the batch normalization behind, by row: what the layer says is weighed by them; empty: there is none
  std::string name;              // of its first node, for people
  std::string spared;            // why it stays dense; empty: it is pruned
};

// In graph order, a weight once. A weight that is read as different matrices, or also otherwise, is spared.
std::vector<PrunableLayer> prunable_layers(const Graph& graph);

// Of each layer: whether no other layer stands behind it.
std::vector<char> last_layers(const Graph& graph, const std::vector<PrunableLayer>& layers);

// The same elements in the order of the matrix and as they are stored: move(row · cols + column, stored).
template <class Move>
void for_matrix_order(const PrunableLayer& layer, Move move) {
  const MatrixShape& shape = layer.shape;
  for (int64_t r = 0; r < shape.rows; ++r)
    for (int64_t c = 0; c < shape.cols; ++c) {
      const int64_t stored = layer.transposed ? c * shape.rows + r : r * shape.cols + c % shape.run * layer.taps + c / shape.run;
      move(size_t(r * shape.cols + c), size_t(stored));
    }
}

// Spares the layers that `spare` names: names or operators as everywhere, and the words "auto" (layers known to lose more
// than they give: the first convolution, depthwise ones, small last layers) and "none".
void spare_layers(const Graph& graph, const std::string& spare, std::vector<PrunableLayer>& layers);

// The layer's weight as [rows, cols]: column = tap · inputs + input.
std::vector<float> weight_matrix(const Graph& graph, const PrunableLayer& layer);
// The same of other values laid out as the weight is.
std::vector<float> as_matrix(const PrunableLayer& layer, std::span<const float> values);
// The weight as it would be with the batch normalization behind merged into it: what scores judge.
std::vector<float> merged_matrix(const Graph& graph, const PrunableLayer& layer);

// Stores `matrix` as the layer's weight, in the type and codec it has. An 8-bit weight keeps its codes: there elements may
// become 0 and nothing else; other encodings throw Error.
void store_matrix(Graph& graph, const PrunableLayer& layer, std::span<const float> matrix);

}  // namespace pare
