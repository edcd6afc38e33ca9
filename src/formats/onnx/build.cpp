#include "formats/onnx/build.h"

#include <algorithm>
#include <cstring>

#include "formats/onnx/graph_reader.h"
#include "formats/onnx/prepare.h"

namespace pare {
namespace {

void build_type(onnx::TypeProto& proto, const Value& value) {
  if (!value.other_type.empty()) {
    proto.ParseFromString(value.other_type);
    return;
  }
  auto& tensor = *proto.mutable_tensor_type();
  tensor.set_elem_type(int(value.type));
  if (!value.shape) return;
  auto& shape = *tensor.mutable_shape();
  for (const Dim& dim : *value.shape) {
    auto& out = *shape.add_dim();
    if (dim.known()) out.set_dim_value(dim.value);
    else if (!dim.name.empty()) out.set_dim_param(dim.name);
  }
}

void build_info(onnx::ValueInfoProto& proto, const Value& value) {
  proto.set_name(value.name);
  if (value.type != Type::none || !value.other_type.empty()) build_type(*proto.mutable_type(), value);
}

struct AttributeBuilder {
  onnx::AttributeProto& proto;
  using A = onnx::AttributeProto;

  void operator()(int64_t value) const { proto.set_i(value); proto.set_type(A::INT); }
  void operator()(float value) const { proto.set_f(value); proto.set_type(A::FLOAT); }
  void operator()(const std::string& value) const { proto.set_s(value); proto.set_type(A::STRING); }
  void operator()(const std::vector<int64_t>& values) const {
    proto.mutable_ints()->Add(values.begin(), values.end());
    proto.set_type(A::INTS);
  }
  void operator()(const std::vector<float>& values) const {
    proto.mutable_floats()->Add(values.begin(), values.end());
    proto.set_type(A::FLOATS);
  }
  void operator()(const std::vector<std::string>& values) const {
    for (const std::string& value : values) proto.add_strings(value);
    proto.set_type(A::STRINGS);
  }
  void operator()(const TensorPtr& tensor) const {
    *proto.mutable_t() = build_tensor("", tensor->decode(), true);
    proto.set_type(A::TENSOR);
  }
  void operator()(const std::shared_ptr<Graph>& graph) const {
    *proto.mutable_g() = build_graph(*graph, true);
    proto.set_type(A::GRAPH);
  }
  void operator()(const std::vector<std::shared_ptr<Graph>>& graphs) const {
    for (const auto& graph : graphs) *proto.add_graphs() = build_graph(*graph, true);
    proto.set_type(A::GRAPHS);
  }
};

void build_node(onnx::NodeProto& proto, const Graph& graph, const Node& node) {
  for (ValueId id : node.inputs) proto.add_input(id == kNone ? "" : graph.at(id).name);
  // Trailing inputs that are left out need not be said; some runtimes count them.
  while (proto.input_size() > 0 && proto.input(proto.input_size() - 1).empty()) proto.mutable_input()->RemoveLast();
  for (ValueId id : node.outputs) proto.add_output(id == kNone ? "" : graph.at(id).name);
  if (!node.name.empty()) proto.set_name(node.name);
  proto.set_op_type(node.op_type);
  if (!node.domain.empty()) proto.set_domain(node.domain);
  for (const auto& [key, value] : node.attributes) {
    if (key == kOverload) {
      proto.set_overload(std::get<std::string>(value));
      continue;
    }
    auto& attribute = *proto.add_attribute();
    if (key.ends_with(kOpaqueAttribute)) {
      attribute.ParseFromString(std::get<std::string>(value));
      continue;
    }
    attribute.set_name(key);
    std::visit(AttributeBuilder{attribute}, value);
  }
}

// A graph's output must be a node's result: a constant one gets a Constant node.
void build_constant_node(onnx::NodeProto& proto, const Value& value) {
  proto.set_op_type("Constant");
  proto.add_output(value.name);
  auto& attribute = *proto.add_attribute();
  attribute.set_name("value");
  AttributeBuilder{attribute}(value.constant);
}

}  // namespace

onnx::TensorProto build_tensor(const std::string& name, const Array& array, bool with_data) {
  onnx::TensorProto proto;
  if (!name.empty()) proto.set_name(name);
  proto.set_data_type(int(array.type()));
  proto.mutable_dims()->Add(array.dims().begin(), array.dims().end());
  if (array.type() == Type::string) {
    for (const std::string& text : strings_of(array)) proto.add_string_data(text);
  } else if (with_data) {
    proto.set_raw_data(array.bytes(), array.size_bytes());
  }
  return proto;
}

namespace {

// Values that are not zero and their places, row major (SparseTensorProto's linear form).
void build_sparse(onnx::SparseTensorProto& proto, const std::string& name, const Array& dense) {
  const int64_t width = type_bits(dense.type()) / 8;
  std::vector<int64_t> places;
  for (int64_t i = 0; i < dense.count(); ++i)
    if (std::any_of(dense.bytes() + i * width, dense.bytes() + (i + 1) * width, [](std::byte byte) { return byte != std::byte(0); })) places.push_back(i);
  const auto stored = int64_t(places.size());
  Array values(dense.type(), {stored});
  std::byte* out = values.mutable_bytes();
  for (int64_t i = 0; i < stored; ++i) std::memcpy(out + i * width, dense.bytes() + places[size_t(i)] * width, size_t(width));
  *proto.mutable_values() = build_tensor(name, values, true);
  *proto.mutable_indices() = build_tensor("", Array::of<int64_t>({stored}, places), true);
  proto.mutable_dims()->Add(dense.dims().begin(), dense.dims().end());
}

bool is_sparse(const Graph& graph, ValueId id) { return !graph.at(id).constant->plain(); }  // what unfold_codecs left

}  // namespace

std::vector<ValueId> initializers_of(const Graph& graph) {
  std::vector<ValueId> ids;
  for (ValueId id = 0; id < ValueId(graph.values.size()); ++id)
    if (graph.at(id).constant != nullptr && !graph.is_output(id) && !is_sparse(graph, id)) ids.push_back(id);
  return ids;
}

onnx::GraphProto build_graph(const Graph& graph, bool with_initializers) {
  onnx::GraphProto proto;
  proto.set_name(graph.name.empty() ? "graph" : graph.name);  // the checker wants one
  for (ValueId id : graph.inputs) build_info(*proto.add_input(), graph.at(id));
  for (ValueId id : graph.outputs) build_info(*proto.add_output(), graph.at(id));
  for (ValueId id : values_to_describe(graph)) build_info(*proto.add_value_info(), graph.at(id));
  for (ValueId id = 0; id < ValueId(graph.values.size()); ++id)
    if (graph.at(id).constant != nullptr && graph.is_output(id)) build_constant_node(*proto.add_node(), graph.at(id));
  for (const Node& node : graph.nodes) build_node(*proto.add_node(), graph, node);
  for (ValueId id = 0; id < ValueId(graph.values.size()); ++id)
    if (graph.at(id).constant != nullptr && !graph.is_output(id) && is_sparse(graph, id))
      build_sparse(*proto.add_sparse_initializer(), graph.at(id).name, graph.at(id).constant->decode());
  if (with_initializers)
    for (ValueId id : initializers_of(graph))
      *proto.add_initializer() = build_tensor(graph.at(id).name, graph.at(id).constant->array(), true);
  return proto;
}

}  // namespace pare
