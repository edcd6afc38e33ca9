#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "graph/graph.h"

namespace pare {

struct WriteOptions;

// A model from memory. `where` names it in errors; external data is looked for in `folder` (empty: refused).
// The graph is raised to opset 13 at least, codecs are folded; shapes are not yet inferred.
Graph read_onnx_bytes(std::span<const std::byte> bytes, const std::string& where, const std::string& folder = "");
Graph read_onnx(const std::string& path);
// A file of one TensorProto, as ONNX's test data sets have them beside a model.
Array read_onnx_tensor(const std::string& path);
void write_onnx(const Graph& graph, const std::string& path, const WriteOptions& options);

// Rewrites nodes of ai.onnx so that they mean under opset `version` what they mean under the graph's own; a graph that is
// there already stays as it is. Throws Error where a node's old meaning needs what the file does not tell.
constexpr int64_t kLeastOpset = 13;
void raise_opset(Graph& graph, int64_t version);

// Nodes that only decode constants become encoded constants, and back.
void fold_codecs(Graph& graph);
void unfold_codecs(Graph& graph);

// Renumbers the values in the order in which a reader of the graph meets them, and drops the unused ones, so that the
// same model always prints the same, however its file orders it.
void order_values(Graph& graph);

}  // namespace pare
