#include "train/torch/interpreter.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include "graph/op.h"
#include "train/torch/arrays.h"

namespace pare {

at::Tensor channels_last(const at::Tensor& tensor) {
  return tensor.dim() == 4 && tensor.is_floating_point() ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor;
}

namespace {

constexpr int64_t kMatrix = 1 << 12;  // elements; what is smaller costs more to decode again than to keep

bool stays_stored(const Tensor& tensor, Weights weights) {
  return tensor.type == Type::string ||
         (weights == Weights::stored && is_float(tensor.type) && tensor.dims.size() >= 2 && tensor.count() >= kMatrix);
}

}  // namespace

Interpreter::Interpreter(Graph graph, at::ScalarType real, Weights weights) : graph_(std::move(graph)), real_(real) {
  constants_.resize(graph_.values.size());
  for (size_t id = 0; id < graph_.values.size(); ++id)
    if (const Tensor* tensor = graph_.constant(ValueId(id)); tensor != nullptr && !stays_stored(*tensor, weights))
      constants_[id] = channels_last(tensor_of(tensor->decode(), real_));
  std::vector<int> last(graph_.values.size(), -1);
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    const Node& node = graph_.nodes[n];
    mappings_.push_back(find_mapping(node));
    for (const auto* ids : {&node.inputs, &node.outputs})
      for (ValueId id : *ids)
        if (id != kNone) last[size_t(id)] = int(n);
    for (const std::string& name : outer_names(node))
      if (const ValueId id = graph_.find(name); id != kNone) last[size_t(id)] = int(n);
  }
  last_.resize(graph_.nodes.size());
  for (size_t id = 0; id < last.size(); ++id)
    if (last[id] >= 0 && !graph_.values[id].constant) last_[size_t(last[id])].push_back(ValueId(id));
}

at::Tensor Interpreter::constant(ValueId id) const {
  const at::Tensor& held = constants_.at(size_t(id));
  const Tensor* tensor = graph_.constant(id);
  return held.defined() || tensor == nullptr || tensor->type == Type::string ? held
                                                                             : tensor_of(tensor->decode(), real_);
}

std::vector<at::Tensor> Interpreter::inputs_of(const std::vector<Array>& arrays) const {
  if (arrays.size() != graph_.inputs.size())
    throw Error("model", "takes " + std::to_string(graph_.inputs.size()) + " inputs, " + std::to_string(arrays.size()) +
                             " were given");
  std::vector<at::Tensor> tensors;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const Type type = graph_.at(graph_.inputs[i]).type;
    tensors.push_back(channels_last(tensor_of(type == Type::none ? arrays[i] : arrays[i].cast(type), real_)));
  }
  return tensors;
}

std::vector<at::Tensor> Interpreter::by_reference(const Node& node, const std::vector<at::Tensor>& inputs,
                                                  const std::vector<at::Tensor>& values) const {
  Forward forward{node, graph_.opset(), {}, {}};
  bool trained = false;
  const auto plain = [&](const at::Tensor& tensor, Type type) {
    trained |= tensor.requires_grad();
    return array_of(tensor, type);
  };
  for (size_t i = 0; i < inputs.size(); ++i)
    forward.inputs.push_back(inputs[i].defined() ? plain(inputs[i], graph_.at(node.inputs[i]).type) : Array());
  for (const std::string& name : outer_names(node))
    if (const ValueId id = graph_.find(name); id != kNone && values[size_t(id)].defined())
      forward.outer.emplace(name, plain(values[size_t(id)], graph_.at(id).type));
  if (trained && at::GradMode::is_enabled())
    throw Error(node.where(), "training knows no gradient of the operator '" + node.op_type + "'",
                "freeze the layers in front of it (freeze=NAMES), or take it out of the model");
  forward.outputs.resize(node.outputs.size());
  executable(node).forward(forward);
  std::vector<at::Tensor> outputs;
  for (const Array& array : forward.outputs) outputs.push_back(array.empty() ? at::Tensor() : tensor_of(array, real_));
  return outputs;
}

void Interpreter::compute(const Node& node, Mapping mapping, std::vector<at::Tensor>& values, bool training) const {
  Mapped mapped{node, graph_, real_, training, {}};
  for (ValueId id : node.inputs)
    mapped.in.push_back(id == kNone ? at::Tensor() : values[size_t(id)].defined() ? values[size_t(id)] : constant(id));
  if (mapping != nullptr)
    mapping(mapped);
  else
    mapped.out = by_reference(node, mapped.in, values);
  for (size_t i = 0; i < node.outputs.size() && i < mapped.out.size(); ++i)
    if (node.outputs[i] != kNone) values[size_t(node.outputs[i])] = std::move(mapped.out[i]);
}

std::vector<at::Tensor> Interpreter::begin(const std::vector<at::Tensor>& inputs) const {
  std::vector<at::Tensor> values = constants_;
  for (size_t i = 0; i < inputs.size(); ++i) values[size_t(graph_.inputs[i])] = inputs[i];
  return values;
}

void Interpreter::run_part(std::vector<at::Tensor>& values, size_t first, size_t last, const std::vector<char>& kept,
                           bool training) const {
  for (size_t n = first; n < last; ++n) {
    try {
      compute(graph_.nodes[n], mappings_[n], values, training);
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      throw Error(graph_.nodes[n].where(), text.substr(0, text.find('\n')));
    }
    for (ValueId id : last_[n])
      if (!kept[size_t(id)]) values[size_t(id)] = at::Tensor();
  }
}

std::vector<at::Tensor> Interpreter::run(const std::vector<at::Tensor>& inputs, const std::vector<ValueId>& wanted,
                                         bool training) const {
  std::vector<at::Tensor> values = begin(inputs);
  std::vector<char> kept(values.size(), 0);
  for (ValueId id : wanted) kept[size_t(id)] = 1;
  run_part(values, 0, graph_.nodes.size(), kept, training);
  std::vector<at::Tensor> results;
  for (ValueId id : wanted) results.push_back(values[size_t(id)].defined() ? values[size_t(id)] : constant(id));
  return results;
}

}  // namespace pare
