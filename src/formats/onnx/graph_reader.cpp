#include "formats/onnx/graph_reader.h"

#include <fmt/format.h>

#include "codecs/codecs.h"
#include "graph/op.h"

namespace pare {
namespace {

const char* const kExportAgain = "the file is damaged or its exporter is at fault: export or download the model again";

std::string standard_domain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

std::string node_text(const onnx::NodeProto& node) {
  return node.name().empty() ? "a " + node.op_type() + " node" : "node '" + node.name() + "' (" + node.op_type() + ")";
}

}  // namespace

GraphReader::GraphReader(OnnxSource& source, const std::map<std::string, int64_t>& opsets, GraphReader* outer)
    : source_(source), outer_(outer) {
  graph_.opsets = opsets;
}

Graph GraphReader::read(onnx::GraphProto& proto) {
  graph_.name = proto.name();
  add_initializers(proto);
  add_inputs(proto);
  declare_results(proto);
  for (const auto& info : proto.value_info())
    if (auto it = ids_.find(info.name()); it != ids_.end() && graph_.at(it->second).constant == nullptr)
      describe(graph_.at(it->second), info.type());
  for (auto& node : *proto.mutable_node())
    if (!node.op_type().empty()) add_node(node);
  add_outputs(proto);
  try {
    graph_.sort();
  } catch (const Error& error) {
    throw Error(where(error.where()), error.problem(), error.fix());
  }
  return std::move(graph_);
}

ValueId GraphReader::define(const std::string& name, const std::string& by) {
  const auto [it, fresh] = ids_.emplace(name, ValueId(graph_.values.size()));
  if (!fresh) throw Error(where(by), "defines '" + name + "' a second time, every value has one source", kExportAgain);
  return graph_.add_value(name);
}

const Value* GraphReader::known(const std::string& name) {
  if (auto it = ids_.find(name); it != ids_.end()) return &graph_.at(it->second);
  return outer_ != nullptr ? outer_->known(name) : nullptr;
}

ValueId GraphReader::resolve(const std::string& name, const std::string& by) {
  if (name.empty()) return kNone;
  if (auto it = ids_.find(name); it != ids_.end()) return it->second;
  const Value* value = outer_ != nullptr ? outer_->known(name) : nullptr;
  if (value == nullptr)
    throw Error(where(by), "reads '" + name + "', which is no input, no initializer and no node's result", kExportAgain);
  const ValueId id = graph_.add_value(name, value->type, value->shape);
  graph_.at(id).outer = true;
  ids_.emplace(name, id);
  return id;
}

void GraphReader::add_constant(const std::string& name, Tensor tensor, const std::string& by) {
  Value& value = graph_.at(define(name, by));
  value.type = tensor.type;
  value.shape = shape_of(tensor.dims);
  value.constant = std::make_shared<const Tensor>(std::move(tensor));
}

void GraphReader::add_initializers(onnx::GraphProto& proto) {
  // Only the outermost graph's are lifted.
  const bool lifted = outer_ == nullptr && source_.initializers.size() == size_t(proto.initializer_size());
  for (int i = 0; i < proto.initializer_size(); ++i) {
    auto& tensor = *proto.mutable_initializer(i);
    const std::string by = "initializer '" + tensor.name() + "'";
    if (tensor.name().empty()) throw Error(where("an initializer"), "has no name", kExportAgain);
    add_constant(tensor.name(), read_tensor(tensor, source_, where(by), lifted ? source_.initializers[size_t(i)] : std::span<const std::byte>()), by);
  }
  for (auto& tensor : *proto.mutable_sparse_initializer()) {
    const std::string name = tensor.values().name(), by = "sparse initializer '" + name + "'";
    if (name.empty()) throw Error(where("a sparse initializer"), "its values have no name", kExportAgain);
    const Array dense = read_sparse(tensor, source_, where(by));
    // Weights stay sparse, as store-sparse wrote them; anything else is small, and what reads it wants plain elements.
    constexpr int64_t kWeight = 256;
    const bool weight = (dense.type() == Type::f32 || dense.type() == Type::i8) && dense.rank() >= 2 && dense.count() >= kWeight;
    add_constant(name, weight ? sparse_tensor(Tensor(dense)) : Tensor(dense), by);
  }
}

void GraphReader::add_inputs(const onnx::GraphProto& proto) {
  for (const auto& info : proto.input()) {
    // Before IR version 4 every initializer had to be listed as an input too, and exporters kept doing it.
    if (auto it = ids_.find(info.name()); it != ids_.end() && graph_.at(it->second).constant != nullptr) continue;
    if (info.name().empty()) throw Error(where("a graph input"), "has no name", kExportAgain);
    const ValueId id = define(info.name(), "graph input '" + info.name() + "'");
    describe(graph_.at(id), info.type());
    graph_.inputs.push_back(id);
  }
}

// Results get their values before nodes are read: files need not be in topological order.
void GraphReader::declare_results(onnx::GraphProto& proto) {
  for (auto& node : *proto.mutable_node()) {
    if (node.op_type().empty()) throw Error(where("node '" + node.name() + "'"), "has no operator", kExportAgain);
    if (node.op_type() == "Constant" && standard_domain(node.domain()).empty() && add_constant_node(node)) {
      node.clear_op_type();  // done with
      continue;
    }
    for (const std::string& name : node.output())
      if (!name.empty()) define(name, node_text(node));
  }
}

bool GraphReader::add_constant_node(onnx::NodeProto& proto) {
  const std::string by = node_text(proto);
  if (proto.output_size() != 1 || proto.attribute_size() != 1 || proto.output(0).empty())
    throw Error(where(by), "a constant has one attribute and one result", kExportAgain);
  auto& attribute = *proto.mutable_attribute(0);
  const std::string& kind = attribute.name();
  Array array;
  if (kind == "value" && attribute.has_t()) {
    array = read_tensor(*attribute.mutable_t(), source_, where(by));
  } else if (kind == "sparse_value" && attribute.has_sparse_tensor()) {
    array = read_sparse(*attribute.mutable_sparse_tensor(), source_, where(by));
  } else if (kind == "value_float") {
    array = Array::scalar(attribute.f());
  } else if (kind == "value_int") {
    array = Array::scalar(attribute.i());
  } else if (kind == "value_floats") {
    array = Array::of<float>({attribute.floats_size()}, {attribute.floats().begin(), attribute.floats().end()});
  } else if (kind == "value_ints") {
    array = Array::of<int64_t>({attribute.ints_size()}, {attribute.ints().begin(), attribute.ints().end()});
  } else if (kind == "value_string") {
    array = string_array({}, {attribute.s()});
  } else if (kind == "value_strings") {
    array = string_array({attribute.strings_size()}, {attribute.strings().begin(), attribute.strings().end()});
  } else {
    throw Error(where(by), "has attribute '" + kind + "', expected one of value, sparse_value, value_float(s), value_int(s), value_string(s)",
                kExportAgain);
  }
  add_constant(proto.output(0), std::move(array), by);
  return true;
}

void GraphReader::add_node(onnx::NodeProto& proto) {
  const std::string by = node_text(proto);
  Node node;
  node.name = proto.name();
  node.op_type = proto.op_type();
  node.domain = standard_domain(proto.domain());
  node.op = find_op(node.op_type, node.domain);
  for (const std::string& name : proto.input()) node.inputs.push_back(resolve(name, by));
  while (!node.inputs.empty() && node.inputs.back() == kNone) node.inputs.pop_back();  // saying so says nothing
  for (const std::string& name : proto.output()) node.outputs.push_back(name.empty() ? kNone : ids_.at(name));
  for (auto& attribute : *proto.mutable_attribute()) {
    Attribute value = read_attribute(attribute, where(by));
    const bool opaque = std::holds_alternative<std::string>(value) && attribute.type() != onnx::AttributeProto::STRING &&
                        attribute.type() != onnx::AttributeProto::UNDEFINED;
    const std::string key = attribute.name() + (opaque ? kOpaqueAttribute : "");
    if (!node.attributes.emplace(key, std::move(value)).second)
      throw Error(where(by), "has attribute '" + key + "' twice", kExportAgain);
  }
  if (proto.has_overload() && !proto.overload().empty()) node.attributes[kOverload] = proto.overload();
  graph_.nodes.push_back(std::move(node));
}

void GraphReader::add_outputs(const onnx::GraphProto& proto) {
  for (const auto& info : proto.output()) {
    const std::string by = "graph output '" + info.name() + "'";
    if (info.name().empty()) throw Error(where("a graph output"), "has no name", kExportAgain);
    const ValueId id = resolve(info.name(), by);
    Value& value = graph_.at(id);
    if (value.constant == nullptr && !value.outer && info.has_type()) describe(value, info.type());
    graph_.outputs.push_back(id);
  }
}

namespace {

// The oldest files have no type field: the one field that is set tells.
onnx::AttributeProto::AttributeType kind_of(const onnx::AttributeProto& proto) {
  using A = onnx::AttributeProto;
  if (proto.type() != A::UNDEFINED) return proto.type();
  if (proto.has_f()) return A::FLOAT;
  if (proto.has_i()) return A::INT;
  if (proto.has_s()) return A::STRING;
  if (proto.has_t()) return A::TENSOR;
  if (proto.has_g()) return A::GRAPH;
  if (proto.floats_size() > 0) return A::FLOATS;
  if (proto.ints_size() > 0) return A::INTS;
  if (proto.strings_size() > 0) return A::STRINGS;
  if (proto.graphs_size() > 0) return A::GRAPHS;
  return A::UNDEFINED;
}

}  // namespace

Attribute GraphReader::read_attribute(onnx::AttributeProto& proto, const std::string& by) {
  using A = onnx::AttributeProto;
  const std::string at = by + " attribute '" + proto.name() + "'";
  if (proto.name().empty()) throw Error(by, "has an attribute without a name", kExportAgain);
  auto subgraph = [&](onnx::GraphProto& graph) {
    return std::make_shared<Graph>(GraphReader(source_, graph_.opsets, this).read(graph));
  };
  switch (kind_of(proto)) {
    case A::FLOAT: return proto.f();
    case A::INT: return int64_t(proto.i());
    case A::STRING: return proto.s();
    case A::TENSOR:
      if (!proto.has_t()) throw Error(at, "is called a tensor and has none", kExportAgain);
      return std::make_shared<const Tensor>(read_tensor(*proto.mutable_t(), source_, at));
    case A::GRAPH:
      if (!proto.has_g()) throw Error(at, "is called a graph and has none", kExportAgain);
      return subgraph(*proto.mutable_g());
    case A::FLOATS: return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case A::INTS: return std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
    case A::STRINGS: return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case A::GRAPHS: {
      std::vector<std::shared_ptr<Graph>> graphs;
      for (auto& graph : *proto.mutable_graphs()) graphs.push_back(subgraph(graph));
      return graphs;
    }
    case A::UNDEFINED: throw Error(at, "has no value", kExportAgain);
    default: return proto.SerializeAsString();  // tensors, sparse tensors and types: see kOpaqueAttribute
  }
}

void GraphReader::describe(Value& value, const onnx::TypeProto& type) {
  if (!type.has_tensor_type()) {
    if (type.value_case() != onnx::TypeProto::VALUE_NOT_SET) value.other_type = type.SerializeAsString();
    return;
  }
  value.type = type_of_number(type.tensor_type().elem_type()).value_or(Type::none);
  if (!type.tensor_type().has_shape()) return;
  Shape shape;
  for (const auto& dim : type.tensor_type().shape().dim()) {
    // Some exporters write -1 for "unknown".
    const bool is_known = dim.has_dim_value() && dim.dim_value() >= 0;
    shape.push_back({is_known ? dim.dim_value() : -1, dim.has_dim_param() ? dim.dim_param() : ""});
  }
  value.shape = std::move(shape);
}

}  // namespace pare
