// Runs a graph node by node: the reference engine, the bodies of control flow, and what no plan can foresee.
#include "graph/op.h"

namespace pare {

const Op& executable(const Node& node) {
  if (node.op == nullptr || node.op->forward == nullptr)
    throw Error(node.where(), "the operator '" + (node.domain.empty() ? "" : node.domain + ".") + node.op_type + "' is kept in files but cannot be executed here",
                "`pare ops` lists what can be executed");
  return *node.op;
}

namespace {

std::vector<Array> first_values(const Graph& graph, const std::vector<Array>& inputs, const OuterValues& outer) {
  if (inputs.size() != graph.inputs.size())
    throw Error("model", "takes " + std::to_string(graph.inputs.size()) + " inputs, " + std::to_string(inputs.size()) + " were given");
  std::vector<Array> values(graph.values.size());
  for (size_t id = 0; id < values.size(); ++id) {
    const Value& value = graph.values[id];
    if (value.constant) {
      values[id] = value.constant->decode();
    } else if (value.outer) {
      const auto it = outer.find(value.name);
      if (it == outer.end()) throw Error("value '" + value.name + "'", "is not in the graphs around the one that reads it");
      values[id] = it->second;
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Type type = graph.at(graph.inputs[i]).type;
    values[size_t(graph.inputs[i])] = type == Type::none ? inputs[i] : inputs[i].cast(type);
  }
  return values;
}

OuterValues seen_inside(const Graph& graph, const Node& node, const std::vector<Array>& values, const OuterValues& outer) {
  OuterValues seen;
  for (const std::string& name : outer_names(node)) {
    if (const ValueId id = graph.find(name); id != kNone) seen.emplace(name, values[size_t(id)]);
    else if (const auto it = outer.find(name); it != outer.end()) seen.insert(*it);
  }
  return seen;
}

}  // namespace

std::vector<Array> evaluate(const Graph& graph, const std::vector<Array>& inputs, const OuterValues& outer, const std::vector<ValueId>& also) {
  std::vector<Array> values = first_values(graph, inputs, outer);
  for (const Node& node : graph.nodes) {
    const Op& op = executable(node);
    Forward forward{node, graph.opset(), {}, {}};
    for (ValueId id : node.inputs) forward.inputs.push_back(id == kNone ? Array() : values[size_t(id)]);
    if (has_subgraphs(node)) forward.outer = seen_inside(graph, node, values, outer);
    forward.outputs.resize(node.outputs.size());
    op.forward(forward);
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) values[size_t(node.outputs[i])] = forward.outputs[i];
  }
  std::vector<Array> results;
  for (const auto* ids : {&graph.outputs, &also})
    for (ValueId id : *ids) results.push_back(values[size_t(id)]);
  return results;
}

}  // namespace pare
