#pragma once
#include "graph/graph.h"
#include "formats/onnx/onnx.pb.h"

namespace pare {

// Messages from a prepared graph (see prepare.h).
// The graph without the initializers' data: the caller writes those, see write.cpp.
onnx::GraphProto build_graph(const Graph& graph, bool with_initializers);
onnx::TensorProto build_tensor(const std::string& name, const Array& array, bool with_data);
// Constants that the file keeps as initializers with all of their elements; sparse ones are part of the graph's message.
std::vector<ValueId> initializers_of(const Graph& graph);

}  // namespace pare
