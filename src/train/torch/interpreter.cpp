#include "train/torch/interpreter.h"

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include "graph/op.h"
#include "train/torch/arrays.h"

namespace pare {

namespace {

// Pictures and their filters with channels innermost: libtorch's layers keep that order, and oneDNN's convolutions need
// no reordering in front of and behind each of them.
at::Tensor channels_last(const at::Tensor& tensor) {
  return tensor.dim() == 4 && tensor.is_floating_point() ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor;
}

}  // namespace

Interpreter::Interpreter(Graph graph, at::ScalarType real) : graph_(std::move(graph)), real_(real) {
  constants_.resize(graph_.values.size());
  for (size_t id = 0; id < graph_.values.size(); ++id)
    if (graph_.values[id].constant && graph_.values[id].type != Type::string)
      constants_[id] = channels_last(tensor_of(graph_.values[id].constant->decode(), real_));
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
  for (ValueId id : node.inputs) mapped.in.push_back(id == kNone ? at::Tensor() : values[size_t(id)]);
  if (mapping != nullptr)
    mapping(mapped);
  else
    mapped.out = by_reference(node, mapped.in, values);
  for (size_t i = 0; i < node.outputs.size() && i < mapped.out.size(); ++i)
    if (node.outputs[i] != kNone) values[size_t(node.outputs[i])] = std::move(mapped.out[i]);
}

std::vector<at::Tensor> Interpreter::run(const std::vector<at::Tensor>& inputs, const std::vector<ValueId>& wanted,
                                         bool training) const {
  std::vector<at::Tensor> values = constants_;
  std::vector<char> kept(values.size(), 0);
  for (size_t i = 0; i < inputs.size(); ++i) values[size_t(graph_.inputs[i])] = inputs[i];
  for (ValueId id : wanted) kept[size_t(id)] = 1;
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    try {
      compute(graph_.nodes[n], mappings_[n], values, training);
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      throw Error(graph_.nodes[n].where(), text.substr(0, text.find('\n')));
    }
    for (ValueId id : last_[n])
      if (!kept[size_t(id)]) values[size_t(id)] = at::Tensor();
  }
  std::vector<at::Tensor> results;
  for (ValueId id : wanted) results.push_back(values[size_t(id)]);
  return results;
}

}  // namespace pare
