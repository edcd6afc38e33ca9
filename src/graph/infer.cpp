#include <algorithm>

#include "graph/op.h"

namespace pare {

const Shape* Inference::shape(size_t i) const {
  if (!has(i)) return nullptr;
  const auto& shape = graph_.at(node_.inputs[i]).shape;
  return shape ? &*shape : nullptr;
}

std::optional<Dims> Inference::dims(size_t i) const {
  const Shape* s = shape(i);
  return s ? known_dims(*s) : std::nullopt;
}

std::optional<std::vector<int64_t>> Inference::integers(size_t i) const {
  const Tensor* tensor = constant(i);
  if (tensor == nullptr || !is_integer(tensor->type)) return std::nullopt;
  return tensor->decode().to_integers();
}

void Inference::set(size_t output, Type type, Shape shape) {
  set_type(output, type);
  if (output >= node_.outputs.size() || node_.outputs[output] == kNone) return;
  Value& value = graph_.at(node_.outputs[output]);
  if (value.shape && value.shape->size() == shape.size()) {
    for (size_t i = 0; i < shape.size(); ++i) {
      const Dim& declared = (*value.shape)[i];
      if (shape[i].known() || !shape[i].name.empty()) continue;
      shape[i] = declared;  // what the file says is better than nothing
    }
  }
  value.shape = std::move(shape);
}

void Inference::set_type(size_t output, Type type) {
  if (output < node_.outputs.size() && node_.outputs[output] != kNone && type != Type::none)
    graph_.at(node_.outputs[output]).type = type;
}

void Inference::set_constant(size_t output, Array array) {
  if (output >= node_.outputs.size() || node_.outputs[output] == kNone) return;
  Value& value = graph_.at(node_.outputs[output]);
  value.type = array.type();
  value.shape = shape_of(array.dims());
  value.constant = std::make_shared<const Tensor>(std::move(array));
}

void Inference::set_from_data(size_t output, Type type, std::optional<Shape> shape) {
  set_type(output, type);
  if (output < node_.outputs.size() && node_.outputs[output] != kNone) graph_.at(node_.outputs[output]).shape = std::move(shape);
}

Graph Inference::inner(const Graph& body) const {
  Graph copy = body;
  for (const std::string& name : outer_names(node_)) {
    const ValueId around = graph_.find(name);
    if (around == kNone) continue;
    ValueId id = copy.find(name);
    if (id == kNone) {  // only a subgraph further inside reads it
      id = copy.add_value(name);
      copy.at(id).outer = true;
    }
    if (!copy.at(id).outer) continue;  // a value of its own, which hides nothing in valid models
    copy.at(id).type = graph_.at(around).type;
    copy.at(id).shape = graph_.at(around).shape;
    copy.at(id).constant = graph_.at(around).constant;
  }
  return copy;
}

void Inference::fail(const std::string& problem, const std::string& fix) const { throw Error(node_.where(), problem, fix); }

namespace {

// A result that follows from constants alone and is small (shape arithmetic) is computed here, so that Reshape and its
// kin see their extents. Larger ones are left to the constant-folding pass.
constexpr int64_t kSmall = 4096;

bool fold_small(Graph& graph, const Node& node) {
  if (node.op == nullptr || node.op->forward == nullptr || node.inputs.empty() || has_subgraphs(node)) return false;
  Forward forward{node, graph.opset(), {}, {}};
  for (ValueId id : node.inputs) {
    const Tensor* tensor = graph.constant(id);
    if (id != kNone && (tensor == nullptr || tensor->count() > kSmall || !tensor->plain())) return false;
    forward.inputs.push_back(tensor ? tensor->decode() : Array());
  }
  for (ValueId id : node.outputs) {
    const auto dims = id != kNone && graph.at(id).shape ? known_dims(*graph.at(id).shape) : std::nullopt;
    if (dims && count_of(*dims, node.where()) > kSmall) return false;
  }
  forward.outputs.resize(node.outputs.size());
  node.op->forward(forward);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNone || forward.outputs[i].empty() || forward.outputs[i].count() > kSmall) continue;
    Value& value = graph.at(node.outputs[i]);
    value.type = forward.outputs[i].type();
    value.shape = shape_of(forward.outputs[i].dims());
    value.constant = std::make_shared<const Tensor>(forward.outputs[i]);
  }
  return true;
}

void check_input(const Graph& graph, const Value& value, const Dims& dims) {
  if (!value.shape) return;
  bool fits = value.shape->size() == dims.size();
  for (size_t k = 0; fits && k < dims.size(); ++k) fits = !(*value.shape)[k].known() || (*value.shape)[k].value == dims[k];
  if (!fits)
    throw Error("input '" + value.name + "'", "has shape " + dims_text(dims) + ", the model takes " + shape_text(*value.shape),
                "give data of that shape, or export the model with a dynamic axis");
  (void)graph;
}

}  // namespace

void infer_shapes(Graph& graph, const std::vector<Dims>& inputs) {
  std::map<std::string, int64_t> named;
  for (size_t i = 0; i < inputs.size() && i < graph.inputs.size(); ++i) {
    Value& value = graph.at(graph.inputs[i]);
    if (inputs[i].empty() && !(value.shape && value.shape->empty())) continue;
    check_input(graph, value, inputs[i]);
    if (value.shape)
      for (size_t k = 0; k < inputs[i].size(); ++k)
        if (!(*value.shape)[k].name.empty()) named[(*value.shape)[k].name] = inputs[i][k];
    value.shape = shape_of(inputs[i]);
  }
  for (Value& value : graph.values)
    if (value.shape)
      for (Dim& dim : *value.shape)
        if (auto it = named.find(dim.name); !dim.known() && it != named.end()) dim = {it->second, ""};
  // A value that shape arithmetic made constant is no longer the node's result: the node goes.
  std::vector<char> dead(graph.nodes.size(), 0);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op == nullptr) continue;
    if (node.op->infer != nullptr) {  // first, also for what is folded: it checks what forward relies on
      Inference inference(graph, node);
      node.op->infer(inference);
    }
    fold_small(graph, node);
    bool all = !node.outputs.empty();
    for (ValueId id : node.outputs) all &= id == kNone || graph.at(id).constant != nullptr;
    dead[n] = all;
    if (!all)
      for (ValueId id : node.outputs)
        if (id != kNone) graph.at(id).constant = nullptr;
  }
  for (ValueId id : graph.outputs) {  // a graph's output must be computed by a node
    if (graph.at(id).constant == nullptr) continue;
    const std::vector<int> producer = graph.producers();
    if (producer[id] >= 0) {
      dead[producer[id]] = 0;
      for (ValueId other : graph.nodes[producer[id]].outputs)
        if (other != kNone) graph.at(other).constant = nullptr;
    }
  }
  graph.remove_nodes(dead);
}

}  // namespace pare
