// MatMulNBits as ONNX Runtime's quantizer writes it, in the graph a MatMul with an encoded weight: what passes know, and what the
// engine has kernels for. The pass matmul-nbits turns it back.
#include "codecs/nbits.h"

#include "formats/onnx/onnx.h"
#include "graph/op.h"

namespace pare {
namespace {

std::optional<Array> plain_constant(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  return tensor != nullptr && tensor->plain() ? std::optional(tensor->array()) : std::nullopt;
}

std::optional<Tensor> weight_of(const Graph& graph, const Node& node) {
  const std::optional<Array> bytes = plain_constant(graph, node.input(1)), scales = plain_constant(graph, node.input(2)), zeros = plain_constant(graph, node.input(3));
  const bool by_index = node.input(4) != kNone;  // inputs of a group lie apart: no group of ours
  if (!bytes || !scales || by_index || (node.input(3) != kNone && !zeros)) return std::nullopt;
  return tensor_of_n_bits(NBitsMatrix{node.integer("K", 0), node.integer("N", 0), node.integer("bits", 4), node.integer("block_size", 0), *bytes, *scales, zeros.value_or(Array())});
}

}  // namespace

void fold_n_bits(Graph& graph) {
  std::vector<Node> nodes;
  for (Node& node : graph.nodes) {
    const std::optional<Tensor> weight = node.op_type == "MatMulNBits" && node.domain == "com.microsoft" ? weight_of(graph, node) : std::nullopt;
    nodes.push_back(std::move(node));
    if (!weight) continue;
    const ValueId bias = nodes.back().input(5), result = nodes.back().outputs[0];
    const ValueId id = graph.add_constant(graph.at(nodes.back().inputs[1]).name + "_w", *weight);
    Node& product = nodes.back();
    product.op_type = "MatMul";
    product.domain.clear();
    product.op = find_op("MatMul", "");
    product.attributes.clear();
    product.inputs = {product.inputs[0], id};
    if (bias == kNone) continue;
    product.outputs = {graph.add_value(graph.unique_name(graph.at(result).name + "_product"), graph.at(result).type, graph.at(result).shape)};
    Node sum;
    sum.op_type = "Add";
    sum.op = find_op("Add", "");
    sum.name = product.name.empty() ? "" : product.name + "_bias";
    sum.inputs = {product.outputs[0], bias};
    sum.outputs = {result};
    nodes.push_back(std::move(sum));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace pare
