#include <algorithm>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "graph/op.h"

namespace pare {
namespace {

// The words of attribute_kinds.inc.
namespace kinds {
using integer = int64_t;
using real = float;
using text = std::string;
using integers = std::vector<int64_t>;
using reals = std::vector<float>;
using texts = std::vector<std::string>;
using graph = std::shared_ptr<Graph>;
}  // namespace kinds

void check_ids(const Graph& graph, const std::string& where, const std::vector<ValueId>& ids) {
  for (ValueId id : ids)
    if (id != kNone && (id < 0 || id >= ValueId(graph.values.size())))
      throw Error(where, "refers to value number " + std::to_string(id) + ", which does not exist");
}

void check_arity(const Node& node) {
  const Op& op = *node.op;
  const int inputs = int(node.inputs.size()), outputs = int(node.outputs.size());
  if (inputs < op.inputs_least || (op.inputs_most >= 0 && inputs > op.inputs_most))
    throw Error(node.where(), "has " + std::to_string(inputs) + " inputs, the operator takes " + std::to_string(op.inputs_least) +
                                  (op.inputs_most == op.inputs_least ? "" : op.inputs_most < 0 ? " or more" : " to " + std::to_string(op.inputs_most)));
  if (outputs < op.outputs_least || (op.outputs_most >= 0 && outputs > op.outputs_most))
    throw Error(node.where(), "has " + std::to_string(outputs) + " outputs, the operator gives " + std::to_string(op.outputs_least));
  for (int i = 0; i < op.inputs_least; ++i)
    if (node.inputs[i] == kNone) throw Error(node.where(), "input " + std::to_string(i) + " is left out, the operator needs it");
}

struct Kind {
  const char* word;
  bool (*holds)(const Attribute&);
};

const std::unordered_map<std::string, Kind>& attribute_kinds() {
  static const auto by_name = [] {
    std::unordered_map<std::string, Kind> all;
    const auto add = [&](std::istringstream names, Kind kind) {
      for (std::string name; names >> name;) all.emplace(name, kind);
    };
#define ATTRIBUTES(kind, names) add(std::istringstream(names), {#kind, [](const Attribute& value) { return std::holds_alternative<kinds::kind>(value); }});
#include "graph/attribute_kinds.inc"
#undef ATTRIBUTES
    return all;
  }();
  return by_name;
}

void check_attributes(const Node& node) {
  for (const auto& [name, value] : node.attributes) {
    const auto known = attribute_kinds().find(name);
    if (known != attribute_kinds().end() && !known->second.holds(value))
      throw Error(node.where(), "attribute '" + name + "' is of another kind than ONNX gives it, expected: " + known->second.word, "export the model again, or check it with onnx.checker");
  }
}

// Subgraphs read values around them by name: those must be there before the node runs.
void check_outer(const Graph& graph, const Node& node, const std::vector<char>& ready) {
  for (const std::string& name : outer_names(node))
    if (const ValueId id = graph.find(name); id != kNone && !ready[size_t(id)])
      throw Error(node.where(), "reads '" + name + "' inside, which nothing computes before it");
  for (const auto& [key, attribute] : node.attributes) {
    if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute)) verify(**one);
    if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute))
      for (const auto& inner : *many) verify(*inner);
  }
}

}  // namespace

void verify(const Graph& graph) {
  std::unordered_set<std::string_view> names;
  for (const Value& value : graph.values)
    if (!value.name.empty() && !names.insert(value.name).second)
      throw Error("value '" + value.name + "'", "the name is used twice");
  for (const auto* ids : {&graph.inputs, &graph.outputs}) {
    const char* where = ids == &graph.inputs ? "graph inputs" : "graph outputs";
    check_ids(graph, where, *ids);
    if (std::find(ids->begin(), ids->end(), kNone) != ids->end()) throw Error(where, "one of them is left out");
  }
  std::vector<char> ready(graph.values.size(), 0);
  for (size_t id = 0; id < graph.values.size(); ++id) ready[id] = graph.values[id].constant != nullptr || graph.values[id].outer;
  for (ValueId id : graph.inputs) ready[id] = 1;
  for (const Node& node : graph.nodes) {
    check_ids(graph, node.where(), node.inputs);
    check_ids(graph, node.where(), node.outputs);
    if (node.op != nullptr) {
      check_arity(node);
      if (node.domain.empty()) check_attributes(node);
    }
    for (ValueId id : node.inputs)
      if (id != kNone && !ready[id])
        throw Error(node.where(), "reads '" + graph.at(id).name + "', which nothing computes before it");
    if (has_subgraphs(node)) check_outer(graph, node, ready);
    for (ValueId id : node.outputs) {
      if (id == kNone) continue;
      if (ready[id]) throw Error(node.where(), "computes '" + graph.at(id).name + "', which already has a value");
      ready[id] = 1;
    }
  }
  for (ValueId id : graph.outputs)
    if (!ready[id]) throw Error("graph output '" + graph.at(id).name + "'", "nothing computes it");
}

}  // namespace pare
