// Encoded constants in the graph, ONNX nodes in the file: a codec's tensor is written as the nodes that decode it
// (DequantizeLinear, Cast, …), and such nodes become the codec's tensor again when the file is read.
#include <algorithm>
#include <set>
#include <span>

#include "codecs/codecs.h"
#include "formats/onnx/graph_reader.h"
#include "formats/onnx/onnx.h"
#include "graph/op.h"

namespace pare {
namespace {

template <class Visit>
void each_subgraph(Node& node, const Visit& visit) {
  for (auto& [key, attribute] : node.attributes) {
    if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) visit(*one);
    if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
      for (auto& graph : *many) visit(graph);
  }
}

// The names that the node's subgraphs, however deep, take from the graphs around them.
void outer_names(const Node& node, std::set<std::string>& names) {
  each_subgraph(const_cast<Node&>(node), [&](std::shared_ptr<Graph>& graph) {
    for (const Value& value : graph->values)
      if (value.outer) names.insert(value.name);
    for (const Node& inner : graph->nodes) outer_names(inner, names);
  });
}

TensorPtr fold_node(const Graph& graph, const Node& node) {
  bool constant = !node.inputs.empty() && node.outputs.size() == 1 && node.outputs[0] != kNone;
  for (ValueId id : node.inputs)  // nothing to encode in an empty tensor, and codecs rely on a scale being there
    constant = constant && (id == kNone || (graph.at(id).constant != nullptr && graph.at(id).constant->count() > 0));
  if (!constant || graph.is_output(node.outputs[0])) return nullptr;
  for (const Codec* codec : codecs())
    if (codec->fold != nullptr)
      if (TensorPtr tensor = codec->fold(graph, node)) return tensor;
  return nullptr;
}

}  // namespace

void fold_codecs(Graph& graph) {
  std::vector<char> dead(graph.nodes.size(), 0);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    each_subgraph(graph.nodes[n], [](std::shared_ptr<Graph>& inner) { fold_codecs(*inner); });
    const TensorPtr tensor = fold_node(graph, graph.nodes[n]);
    if (tensor == nullptr) continue;
    Value& value = graph.at(graph.nodes[n].outputs[0]);
    value.type = tensor->type;
    value.shape = shape_of(tensor->dims);
    value.constant = tensor;
    dead[n] = 1;
  }
  graph.remove_nodes(dead);
}

void unfold_codecs(Graph& graph) {
  std::vector<int> first_use(graph.values.size(), -1);
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    Node& node = graph.nodes[n];
    for (ValueId id : node.inputs)
      if (id != kNone) first_use[id] = int(n);
    std::set<std::string> names;
    outer_names(node, names);
    for (const std::string& name : names)
      if (const ValueId id = graph.find(name); id != kNone) first_use[id] = int(n);
    each_subgraph(node, [](std::shared_ptr<Graph>& inner) {
      inner = std::make_shared<Graph>(*inner);  // graphs share subgraphs when they are copied
      unfold_codecs(*inner);
    });
  }
  std::vector<std::vector<Node>> before(graph.nodes.size() + 1);
  const size_t count = graph.nodes.size();
  for (ValueId id = 0; id < ValueId(first_use.size()); ++id) {
    const TensorPtr tensor = graph.at(id).constant;
    const bool used = first_use[id] >= 0 || graph.is_output(id);
    if (tensor == nullptr || tensor->plain() || tensor->codec->unfold == nullptr || !used) continue;
    const std::string name = graph.at(id).name;
    graph.at(id).name.clear();  // the decoded value takes the name
    graph.at(id).constant = nullptr;
    const ValueId decoded = tensor->codec->unfold(graph, *tensor, name);
    graph.replace_uses(id, decoded);
    auto& place = before[first_use[id] >= 0 ? size_t(first_use[id]) : count];
    place.insert(place.end(), std::make_move_iterator(graph.nodes.begin() + ptrdiff_t(count)), std::make_move_iterator(graph.nodes.end()));
    graph.nodes.resize(count);
  }
  std::vector<Node> nodes;
  for (size_t n = 0; n <= count; ++n) {
    for (Node& node : before[n]) nodes.push_back(std::move(node));
    if (n < count) nodes.push_back(std::move(graph.nodes[n]));
  }
  graph.nodes = std::move(nodes);
}

void order_values(Graph& graph) {
  graph.remove_unused();
  std::vector<ValueId> moved(graph.values.size(), kNone), order;
  auto meet = [&](ValueId id) {
    if (id == kNone || moved[id] != kNone) return;
    moved[id] = ValueId(order.size());
    order.push_back(id);
  };
  for (ValueId id : graph.inputs) meet(id);
  for (const Node& node : graph.nodes) {
    for (ValueId id : node.inputs) meet(id);
    for (ValueId id : node.outputs) meet(id);
  }
  for (ValueId id : graph.outputs) meet(id);
  std::vector<ValueId> rest;  // only subgraphs use them
  for (ValueId id = 0; id < ValueId(moved.size()); ++id)
    if (moved[id] == kNone) rest.push_back(id);
  std::sort(rest.begin(), rest.end(), [&](ValueId a, ValueId b) { return graph.at(a).name < graph.at(b).name; });
  for (ValueId id : rest) meet(id);
  std::vector<Value> values;
  for (ValueId id : order) values.push_back(std::move(graph.at(id)));
  graph.values = std::move(values);
  auto rename = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = id == kNone ? kNone : moved[id];
  };
  rename(graph.inputs);
  rename(graph.outputs);
  for (Node& node : graph.nodes) {
    rename(node.inputs);
    rename(node.outputs);
    each_subgraph(node, [](std::shared_ptr<Graph>& inner) {
      inner = std::make_shared<Graph>(*inner);  // graphs share subgraphs when they are copied
      order_values(*inner);
    });
  }
}

}  // namespace pare
