#pragma once
#include <string>
#include <unordered_map>

#include "formats/onnx/tensor.h"
#include "graph/graph.h"

namespace pare {

// Turns one GraphProto into a Graph; a subgraph's reader knows the reader of the graph around it.
class GraphReader {
 public:
  GraphReader(OnnxSource& source, const std::map<std::string, int64_t>& opsets, GraphReader* outer = nullptr);
  Graph read(onnx::GraphProto& proto);

 private:
  ValueId define(const std::string& name, const std::string& by);   // throws where the name is taken
  ValueId resolve(const std::string& name, const std::string& by);  // throws where nothing has the name
  const Value* known(const std::string& name);                      // here or in a graph around; null if nowhere
  bool reserve_outputs(const onnx::GraphProto& proto);
  void add_constant(const std::string& name, Tensor tensor, const std::string& by);
  void add_initializers(onnx::GraphProto& proto);
  void add_inputs(const onnx::GraphProto& proto);
  void declare_results(onnx::GraphProto& proto);
  bool add_constant_node(onnx::NodeProto& proto);
  void add_node(onnx::NodeProto& proto);
  void add_outputs(const onnx::GraphProto& proto);
  Attribute read_attribute(onnx::AttributeProto& proto, const std::string& where);
  void describe(Value& value, const onnx::TypeProto& type);
  std::string where(const std::string& what) const { return source_.where + ": " + what; }

  OnnxSource& source_;
  GraphReader* outer_;
  Graph graph_;
  std::unordered_map<std::string, ValueId> ids_;
};

// Attribute kinds pare has no use for travel under this ending of their name, as the message's bytes.
constexpr const char* kOpaqueAttribute = "@proto";
constexpr const char* kOverload = "@overload";  // which of a function's variants a node calls

}  // namespace pare
