#pragma once
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
  [[noreturn]] void fail(const std::string& problem, const std::string& fix = "") const;

 private:
  Graph& graph_;
  const Node& node_;
};

// What forward() sees: arrays in, arrays out; an input left out is an empty array.
struct Forward {
  const Node& node;
  int64_t opset;
  std::vector<Array> inputs;
  std::vector<Array> outputs;
  bool has(size_t i) const { return i < inputs.size() && !inputs[i].empty(); }
  const Array& in(size_t i) const { return inputs[i]; }
};

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
};

std::span<const Op* const> ops();                            // the catalog
const Op* find_op(std::string_view name, std::string_view domain);

}  // namespace pare
