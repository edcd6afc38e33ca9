// Raises a graph's operator set: inside pare there is one form of each operator, that of opset 13 or newer.
// What changed with which version is in upgrade_rows.cpp; sources are the version histories in onnx/docs/Changelog.md.
#include "formats/onnx/upgrade.h"

#include <fmt/format.h>

#include "formats/onnx/onnx.h"
#include "graph/op.h"

namespace pare {

void NodeUpgrade::rename(const char* op_type) {
  node_.op_type = op_type;
  node_.op = find_op(op_type, "");
}

void NodeUpgrade::set_input(size_t position, ValueId id) {
  if (node_.inputs.size() <= position) node_.inputs.resize(position + 1, kNone);
  node_.inputs[position] = id;
}

ValueId NodeUpgrade::constant(const std::string& what, Array array) {
  std::string base;
  for (ValueId id : node_.outputs)
    if (id != kNone && base.empty()) base = graph_.at(id).name;
  return graph_.add_constant(base + "_" + what, Tensor(std::move(array)));
}

ValueId NodeUpgrade::before(const char* op_type, std::vector<ValueId> inputs, const std::string& what) {
  const ValueId result = graph_.add_value(graph_.unique_name(graph_.at(node_.outputs.at(0)).name + "_" + what));
  graph_.add_node(op_type, std::move(inputs), {result});
  return result;
}

// Files of old opsets seldom say the shapes of intermediates. The nodes so far are of the new opset, so they can be inferred.
void NodeUpgrade::infer_once() {
  if (inferred_) return;
  inferred_ = true;
  Graph known = graph_;
  known.opsets[""] = target_;
  known.outputs.clear();
  try {
    verify(known);  // inference relies on it
    infer_shapes(known);
  } catch (const Error&) {
    return;  // the model's own check reports it, with the place
  }
  for (size_t id = 0; id < graph_.values.size(); ++id) {
    if (!graph_.values[id].shape) graph_.values[id].shape = known.values[id].shape;
    if (graph_.values[id].type == Type::none) graph_.values[id].type = known.values[id].type;
  }
}

const Shape* NodeUpgrade::shape(ValueId id) {
  if (id == kNone) return nullptr;
  if (!graph_.at(id).shape) infer_once();
  return graph_.at(id).shape ? &*graph_.at(id).shape : nullptr;
}

Type NodeUpgrade::type(ValueId id) {
  if (id == kNone) return Type::none;
  if (graph_.at(id).type == Type::none) infer_once();
  return graph_.at(id).type;
}

void NodeUpgrade::fail(const std::string& problem) const {
  throw Error(node_.where(), fmt::format("{} (operator set {})", problem, graph_.opset()),
              "export the model with operator set 13 or newer, or convert it with onnx.version_converter");
}

namespace {

void raise_subgraphs(Node& node, int64_t version) {
  for (auto& [key, attribute] : node.attributes) {
    auto raise = [&](std::shared_ptr<Graph>& graph) {
      graph = std::make_shared<Graph>(*graph);  // graphs share subgraphs when they are copied
      raise_opset(*graph, version);
    };
    if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) raise(*one);
    if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
      for (auto& graph : *many) raise(graph);
  }
}

void raise_node(Graph& graph, Node node, int64_t from, int64_t version) {
  NodeUpgrade upgrade(graph, node, version);
  if (node.domain.empty())
    for (const auto* rows : {&kUpgradesTo10, &kUpgradesTo13, &kUpgradesBeyond13})
      for (const UpgradeRow& row : *rows)
        if (from < row.since && row.since <= version && (row.op == nullptr || node.op_type == row.op)) row.raise(upgrade);
  graph.nodes.push_back(std::move(node));
  for (Node& next : upgrade.after()) graph.nodes.push_back(std::move(next));
}

}  // namespace

void raise_opset(Graph& graph, int64_t version) {
  const int64_t from = graph.opset();
  if (from >= version) return;
  PARE_CHECK(version >= kLeastOpset);
  std::vector<Node> nodes = std::move(graph.nodes);
  graph.nodes.clear();
  for (Node& node : nodes) {
    raise_subgraphs(node, version);
    raise_node(graph, std::move(node), from, version);
  }
  graph.opsets[""] = version;
}

}  // namespace pare
