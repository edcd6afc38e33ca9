#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/tensor.h"

namespace pare {

struct Op;
struct Graph;

// One extent of a shape: known, named ("N"), or unknown (-1 without a name).
struct Dim {
  int64_t value = -1;
  std::string name;
  bool known() const { return value >= 0; }
  bool operator==(const Dim&) const = default;
};
using Shape = std::vector<Dim>;
Shape shape_of(const Dims& dims);
std::optional<Dims> known_dims(const Shape& shape);  // empty unless every extent is known
std::string shape_text(const Shape& shape);          // "Nx3x32x32"

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, TensorPtr, std::shared_ptr<Graph>,
                               std::vector<std::shared_ptr<Graph>>>;

using ValueId = int;
constexpr ValueId kNone = -1;  // an optional input or output that is left out

// A named edge: input of the graph, result of a node, or constant.
struct Value {
  std::string name;
  Type type = Type::none;
  std::optional<Shape> shape;
  TensorPtr constant;            // set: an initializer
  bool outer = false;            // in a subgraph: a value of the graph around it, matched by name
  std::string other_type;        // a sequence, map or optional: its ONNX TypeProto, serialized as it came
};

struct Node {
  std::string name, op_type, domain;   // domain "" is ai.onnx
  const Op* op = nullptr;              // null: kept as it is, cannot be executed
  std::vector<ValueId> inputs, outputs;
  std::map<std::string, Attribute> attributes;

  bool is(std::string_view type) const { return op_type == type && domain.empty(); }
  bool has(const std::string& key) const { return attributes.count(key) != 0; }
  // The attribute, or `fallback` where it is absent; throws Error (node name) where the kind is another.
  template <class T>
  T get(const std::string& key, T fallback) const {
    auto it = attributes.find(key);
    if (it == attributes.end()) return fallback;
    if (const T* value = std::get_if<T>(&it->second)) return *value;
    throw Error(where(), "attribute '" + key + "' is of another kind than the operator needs");
  }
  int64_t integer(const std::string& key, int64_t fallback) const { return get<int64_t>(key, fallback); }
  std::vector<int64_t> integers(const std::string& key, std::vector<int64_t> fallback = {}) const { return get(key, std::move(fallback)); }
  float real(const std::string& key, float fallback) const { return get<float>(key, fallback); }
  std::string text(const std::string& key, std::string fallback = "") const { return get(key, std::move(fallback)); }
  ValueId input(size_t i) const { return i < inputs.size() ? inputs[i] : kNone; }
  std::string where() const;           // "node 'conv1' (Conv)"
};

bool has_subgraphs(const Node& node);
// Names that the node's subgraphs read from the graphs around them.
std::set<std::string> outer_names(const Node& node);

// What a model is. Nodes stand in an order in which every value is computed before it is used.
struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs, outputs;
  std::map<std::string, int64_t> opsets;        // domain → version; "" is ai.onnx
  int64_t ir_version = 8;
  std::string producer, doc;
  std::map<std::string, std::string> metadata;  // key → value, kept from file to file
  std::string functions;                        // ONNX local functions, serialized as they came

  int64_t opset() const { auto it = opsets.find(""); return it == opsets.end() ? 13 : it->second; }
  Value& at(ValueId id) { return values[id]; }
  const Value& at(ValueId id) const { return values[id]; }
  ValueId add_value(std::string name, Type type = Type::none, std::optional<Shape> shape = std::nullopt);
  ValueId add_constant(const std::string& name, Tensor tensor);   // makes the name unique
  Node& add_node(std::string op_type, std::vector<ValueId> inputs, std::vector<ValueId> outputs);
  std::string unique_name(const std::string& wanted) const;
  ValueId find(std::string_view name) const;    // kNone if there is none

  // The constant at `id`, or null (also for kNone).
  const Tensor* constant(ValueId id) const { return id == kNone ? nullptr : values[id].constant.get(); }
  std::vector<int> producers() const;                    // value → node index, -1 for inputs and constants
  // Value → node indices, a node once per use, reading inside its subgraphs included; outputs of the graph not counted.
  std::vector<std::vector<int>> consumers() const;
  bool is_output(ValueId id) const;
  void replace_uses(ValueId from, ValueId to);           // in node inputs and graph outputs
  void remove_nodes(const std::vector<char>& dead);      // by node index
  void remove_unused();                                  // nodes whose results nobody reads, then values nobody names
  void sort();                                           // topological; throws Error on a cycle
};

// Throws Error naming the node where the graph is inconsistent: ids out of range, a value computed twice or used
// before it is computed, missing required inputs, wrong attribute kinds.
void verify(const Graph& graph);

// Types and shapes of all values, from those of inputs and constants, and constants that follow from shapes alone.
// `inputs`: extents to assume for the graph's inputs (by position; empty: as declared). Unknown operators leave their results unknown.
void infer_shapes(Graph& graph, const std::vector<Dims>& inputs = {});

// Text form (drawn in text.h). Large constants are printed by digest, which shows that they differ and cannot be read
// back, unless `whole`: print(parse(print(g, true)), true) == print(g, true).
using CodecLookup = const Codec* (*)(std::string_view name);  // codecs lie above graph: hand in find_codec
std::string print(const Graph& graph, bool whole = false);
// Throws Error (where:line:column) with what was found and expected; without `codecs` encoded constants are refused.
Graph parse(std::string_view text, const std::string& where = "text", CodecLookup codecs = nullptr);

int64_t count_macs(const Graph& graph);   // dense multiplications of the stored shapes, batch as inferred
int64_t count_macs(const Graph& graph, const Node& node);  // of one of its nodes; 0 where shapes are unknown
struct WeightCount {
  int64_t count = 0, nonzero = 0;
};
WeightCount count_weights(const Graph& graph);  // convolution, linear and embedding weights, without biases

}  // namespace pare
