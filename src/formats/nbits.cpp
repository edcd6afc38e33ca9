// MatMulNBits as ONNX Runtime's quantizer writes it, in the graph a MatMul with an encoded weight, which passes know. The pass
// matmul-nbits turns it back.
#include "formats/nbits.h"

#include <map>
#include <tuple>

#include "codecs/nbits.h"
#include "graph/op.h"

namespace pare {
namespace {

std::optional<Array> plain_constant(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  return tensor != nullptr && tensor->plain() ? std::optional(tensor->array()) : std::nullopt;
}

// A file may leave out anything.
bool sound(const Graph& graph, const Node& node) {
  if (node.op_type != "MatMulNBits" || node.domain != "com.microsoft") return false;
  if (node.outputs.size() != 1 || node.outputs[0] == kNone || node.input(0) == kNone) return false;
  if (node.input(4) != kNone) return false;  // inputs of a group lie apart: no group of ours
  if (node.input(5) == kNone) return true;
  const std::optional<Array> bias = plain_constant(graph, node.input(5));
  return bias && bias->dims() == Dims{node.integer("N", 0)};
}

std::optional<Tensor> weight_of(const Graph& graph, const Node& node) {
  const std::optional<Array> bytes = plain_constant(graph, node.input(1)), scales = plain_constant(graph, node.input(2)), zeros = plain_constant(graph, node.input(3));
  if (!bytes || !scales || (node.input(3) != kNone && !zeros)) return std::nullopt;
  return tensor_of_n_bits({node.integer("K", 0), node.integer("N", 0), node.integer("bits", 4), node.integer("block_size", 0), *bytes, *scales, zeros.value_or(Array())});
}

}  // namespace

void fold_n_bits(Graph& graph) {
  std::map<std::tuple<ValueId, ValueId, ValueId, int64_t, int64_t, int64_t, int64_t>, ValueId> known;  // nodes may share a weight
  std::vector<Node> nodes;
  for (Node& node : graph.nodes) {
    nodes.push_back(std::move(node));
    Node& product = nodes.back();
    if (!sound(graph, product)) continue;
    const auto key = std::tuple(product.input(1), product.input(2), product.input(3), product.integer("K", 0), product.integer("N", 0), product.integer("bits", 4), product.integer("block_size", 0));
    if (!known.count(key)) {
      std::optional<Tensor> weight = weight_of(graph, product);
      if (!weight) continue;
      known[key] = graph.add_constant(graph.at(product.inputs[1]).name + "_w", std::move(*weight));
    }
    const ValueId bias = product.input(5), result = product.outputs[0];
    product.op_type = "MatMul";
    product.domain.clear();
    product.op = find_op("MatMul", "");
    product.attributes.clear();
    product.inputs = {product.inputs[0], known[key]};
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
