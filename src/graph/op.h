#pragma once
#include <map>
#include <span>

#include "graph/graph.h"

namespace pare {

// What infer() sees: types, shapes, and values where they are known before running.
class Inference {
 public:
  Inference(Graph& graph, const Node& node) : graph_(graph), node_(node) {}
  const Node& node() const { return node_; }
  int64_t opset() const { return graph_.opset(); }
  size_t inputs() const { return node_.inputs.size(); }
  bool has(size_t i) const { return node_.input(i) != kNone; }
  Type type(size_t i) const { return has(i) ? graph_.at(node_.inputs[i]).type : Type::none; }
  const Shape* shape(size_t i) const;               // null where unknown
  std::optional<Dims> dims(size_t i) const;         // where every extent is known
  const Tensor* constant(size_t i) const { return graph_.constant(node_.input(i)); }
  std::optional<std::vector<int64_t>> integers(size_t i) const;  // of a constant input
  void set(size_t output, Type type, Shape shape);  // throws Error if it contradicts what is declared with the same rank
  void set_type(size_t output, Type type);
  void set_constant(size_t output, Array array);    // the result does not depend on data
  // What only running tells: unlike set(), extents that the file declares do not fill in for unknown ones, they may be
  // those of the exporter's example.
  void set_from_data(size_t output, Type type, std::optional<Shape> shape);
  Graph inner(const Graph& body) const;             // a copy of a subgraph that knows what is known of the values around it
  [[noreturn]] void fail(const std::string& problem, const std::string& fix = "") const;

 private:
  Graph& graph_;
  const Node& node_;
};

// Values of the graphs around a subgraph, by name.
using OuterValues = std::map<std::string, Array>;

// What forward() sees: arrays in, arrays out; an input left out is an empty array.
struct Forward {
  const Node& node;
  int64_t opset;
  std::vector<Array> inputs;
  std::vector<Array> outputs;
  OuterValues outer = {};   // what the node's subgraphs read from around them
  bool has(size_t i) const { return i < inputs.size() && !inputs[i].empty(); }
  const Array& in(size_t i) const { return inputs[i]; }
};

class Links;
class Narrowing;
struct Op {
  const char* name;
  const char* domain;                       // "" is ai.onnx
  int inputs_least, inputs_most;            // most < 0: any number
  int outputs_least, outputs_most;
  void (*infer)(Inference& inference);
  void (*forward)(Forward& forward);        // the obviously correct reference
  // Dense multiplications, given known input dims; null: none.
  int64_t (*macs)(const Node& node, std::span<const Dims> inputs, std::span<const Dims> outputs);
  const char* summary;                      // one line for docs and `pare ops`
  int weight_input = -1;                    // the input whose constant counts as a weight
  // For cutting channels (links.h). What is cut together; null: nothing that the operator reads or makes can be cut.
  void (*links)(Links& links) = nullptr;
  void (*narrow)(Narrowing& narrowing) = nullptr;  // attributes and constants that hold extents follow; null: there are none
};

// Every node by its reference forward. Inputs by position (types are cast where the graph declares one); the graph's
// outputs, then `also`. Throws Error naming a node that fails, or whose operator cannot be executed.
std::vector<Array> evaluate(const Graph& graph, const std::vector<Array>& inputs, const OuterValues& outer = {},
                            const std::vector<ValueId>& also = {});
const Op& executable(const Node& node);                      // its operator; throws Error where there is none to run

std::span<const Op* const> ops();                            // the catalog
const Op* find_op(std::string_view name, std::string_view domain);

}  // namespace pare
