#include "graph/graph.h"

#include <algorithm>
#include <queue>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "graph/op.h"

namespace pare {

Array Tensor::decode() const { return codec == nullptr ? parts.at(0).aligned() : codec->decode(*this); }

int64_t Tensor::size_bytes() const {
  int64_t size = 0;
  for (const Array& part : parts) size += int64_t(part.size_bytes());
  return size;
}

Shape shape_of(const Dims& dims) {
  Shape shape;
  for (int64_t extent : dims) shape.push_back({extent, ""});
  return shape;
}

std::optional<Dims> known_dims(const Shape& shape) {
  Dims dims;
  for (const Dim& dim : shape) {
    if (!dim.known()) return std::nullopt;
    dims.push_back(dim.value);
  }
  return dims;
}

std::string shape_text(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const Dim& dim : shape)
    text += (text.empty() ? "" : "x") + (dim.known() ? std::to_string(dim.value) : dim.name.empty() ? "?" : dim.name);
  return text;
}

std::string Node::where() const {
  return name.empty() ? "a " + op_type + " node" : "node '" + name + "' (" + op_type + ")";
}

ValueId Graph::add_value(std::string value_name, Type type, std::optional<Shape> shape) {
  values.push_back({std::move(value_name), type, std::move(shape), nullptr, false});
  return ValueId(values.size()) - 1;
}

ValueId Graph::add_constant(const std::string& wanted, Tensor tensor) {
  const ValueId id = add_value(unique_name(wanted), tensor.type, shape_of(tensor.dims));
  values[id].constant = std::make_shared<const Tensor>(std::move(tensor));
  return id;
}

Node& Graph::add_node(std::string op_type, std::vector<ValueId> node_inputs, std::vector<ValueId> node_outputs) {
  Node node;
  node.op = find_op(op_type, "");
  node.op_type = std::move(op_type);
  node.inputs = std::move(node_inputs);
  node.outputs = std::move(node_outputs);
  nodes.push_back(std::move(node));
  return nodes.back();
}

std::string Graph::unique_name(const std::string& wanted) const {
  if (find(wanted) == kNone) return wanted;
  std::unordered_set<std::string_view> taken;
  for (const Value& value : values) taken.insert(value.name);
  for (int i = 1;; ++i) {
    std::string candidate = wanted + "_" + std::to_string(i);
    if (!taken.count(candidate)) return candidate;
  }
}

ValueId Graph::find(std::string_view wanted) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == wanted) return ValueId(i);
  return kNone;
}

std::vector<int> Graph::producers() const {
  std::vector<int> result(values.size(), -1);
  for (size_t n = 0; n < nodes.size(); ++n)
    for (ValueId id : nodes[n].outputs)
      if (id != kNone) result[id] = int(n);
  return result;
}

std::vector<std::vector<int>> Graph::consumers() const {
  std::vector<std::vector<int>> result(values.size());
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (ValueId id : nodes[n].inputs)
      if (id != kNone) result[id].push_back(int(n));
    for (const std::string& wanted : outer_names(nodes[n]))
      if (const ValueId id = find(wanted); id != kNone) result[id].push_back(int(n));
  }
  return result;
}

bool Graph::is_output(ValueId id) const { return std::find(outputs.begin(), outputs.end(), id) != outputs.end(); }

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(outputs.begin(), outputs.end(), from, to);
}

void Graph::remove_nodes(const std::vector<char>& dead) {
  std::vector<Node> kept;
  for (size_t n = 0; n < nodes.size(); ++n)
    if (n >= dead.size() || !dead[n]) kept.push_back(std::move(nodes[n]));
  nodes = std::move(kept);
}

namespace {

// Names that subgraphs read from the graph around them.
void collect_outer(const Graph& graph, std::set<std::string>& names);

void collect_outer_of(const Node& node, std::set<std::string>& names) {
  for (const auto& [key, attribute] : node.attributes) {
    if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) collect_outer(**one, names);
    if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
      for (const auto& graph : *many) collect_outer(*graph, names);
  }
}

void collect_outer(const Graph& graph, std::set<std::string>& names) {
  for (const Value& value : graph.values)
    if (value.outer) names.insert(value.name);
  for (const Node& node : graph.nodes) collect_outer_of(node, names);
}

}  // namespace

bool has_subgraphs(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& attribute) {
    return std::holds_alternative<std::shared_ptr<Graph>>(attribute.second) || std::holds_alternative<std::vector<std::shared_ptr<Graph>>>(attribute.second);
  });
}

std::set<std::string> outer_names(const Node& node) {
  std::set<std::string> names;
  collect_outer_of(node, names);
  return names;
}

void Graph::remove_unused() {
  std::set<std::string> outer;
  for (const Node& node : nodes) collect_outer_of(node, outer);
  std::vector<char> used(values.size(), 0);
  for (ValueId id : outputs) used[id] = 1;
  for (size_t id = 0; id < values.size(); ++id)
    if (outer.count(values[id].name)) used[id] = 1;
  std::vector<char> dead(nodes.size(), 0);
  for (size_t n = nodes.size(); n-- > 0;) {
    bool wanted = false;
    for (ValueId id : nodes[n].outputs) wanted |= id != kNone && used[id];
    dead[n] = !wanted;
    if (wanted)
      for (ValueId id : nodes[n].inputs)
        if (id != kNone) used[id] = 1;
  }
  remove_nodes(dead);
  for (ValueId id : inputs) used[id] = 1;
  for (const Node& node : nodes)
    for (ValueId id : node.outputs)
      if (id != kNone) used[id] = 1;
  std::vector<ValueId> moved(values.size(), kNone);
  std::vector<Value> kept;
  for (size_t id = 0; id < values.size(); ++id) {
    if (!used[id]) continue;
    moved[id] = ValueId(kept.size());
    kept.push_back(std::move(values[id]));
  }
  values = std::move(kept);
  auto rename = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = id == kNone ? kNone : moved[id];
  };
  rename(inputs);
  rename(outputs);
  for (Node& node : nodes) {
    rename(node.inputs);
    rename(node.outputs);
  }
}

void Graph::sort() {
  const std::vector<int> made_by = producers();
  std::unordered_map<std::string, ValueId> by_name;
  for (size_t id = 0; id < values.size(); ++id) by_name.emplace(values[id].name, ValueId(id));
  std::vector<std::vector<int>> after(nodes.size());
  std::vector<int> waiting(nodes.size(), 0);
  auto depend = [&](size_t n, ValueId id) {
    if (id == kNone || made_by[size_t(id)] < 0) return;
    after[size_t(made_by[size_t(id)])].push_back(int(n));
    ++waiting[n];
  };
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (ValueId id : nodes[n].inputs) depend(n, id);
    for (const std::string& wanted : outer_names(nodes[n]))
      if (auto it = by_name.find(wanted); it != by_name.end()) depend(n, it->second);
  }
  // The smallest index first keeps the file's order where it is already right.
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t n = 0; n < nodes.size(); ++n)
    if (waiting[n] == 0) ready.push(int(n));
  std::vector<Node> ordered;
  while (!ready.empty()) {
    const int n = ready.top();
    ready.pop();
    ordered.push_back(nodes[n]);
    for (int next : after[n])
      if (--waiting[next] == 0) ready.push(next);
  }
  if (ordered.size() != nodes.size()) {
    for (size_t n = 0; n < nodes.size(); ++n)
      if (waiting[n] > 0) throw Error(nodes[n].where(), "the graph has a cycle through this node", "export the model again");
  }
  nodes = std::move(ordered);
}

int64_t count_macs(const Graph& graph, const Node& node) {
  if (node.op == nullptr || node.op->macs == nullptr) return 0;
  auto dims_of = [&](const std::vector<ValueId>& ids) -> std::optional<std::vector<Dims>> {
    std::vector<Dims> all;
    for (ValueId id : ids) {
      if (id == kNone) { all.emplace_back(); continue; }
      if (!graph.at(id).shape) return std::nullopt;
      auto dims = known_dims(*graph.at(id).shape);
      if (!dims) return std::nullopt;
      all.push_back(*dims);
    }
    return all;
  };
  const auto in = dims_of(node.inputs), out = dims_of(node.outputs);
  return in && out ? node.op->macs(node, *in, *out) : 0;
}

int64_t count_macs(const Graph& graph) {
  int64_t total = 0;
  for (const Node& node : graph.nodes) total += count_macs(graph, node);
  return total;
}

WeightCount count_weights(const Graph& graph) {
  WeightCount result;
  std::set<ValueId> seen;
  for (const Node& node : graph.nodes) {
    if (node.op == nullptr || node.op->weight_input < 0) continue;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      // A matrix product's weight may stand on either side.
      const bool weight = int(i) == node.op->weight_input || (node.is("MatMul") && i == 0);
      const ValueId id = node.inputs[i];
      const Tensor* tensor = graph.constant(id);
      if (!weight || tensor == nullptr || !seen.insert(id).second) continue;
      const Array values = tensor->decode();
      result.count += values.count();
      for (float v : values.to_floats()) result.nonzero += v != 0;
    }
  }
  return result;
}

}  // namespace pare
