#pragma once
#include <vector>

#include "graph/graph.h"

namespace pare {

// The graph as the file will hold it: codecs unfolded, opset and IR version what its nodes need (the graph's own where
// that is enough), values in the order of use, the names of quantization's bookkeeping shortened.
Graph prepare_onnx(const Graph& graph);

// Results of nodes whose type or shape a reader could not infer: only these are worth a value_info.
std::vector<ValueId> values_to_describe(const Graph& graph);

}  // namespace pare
