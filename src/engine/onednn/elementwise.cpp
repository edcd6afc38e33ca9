#include <algorithm>

#include "engine/onednn/onednn.h"

namespace pare {
namespace {

bool float_form(const Storage& storage) { return (storage.type == Type::f32 || storage.type == Type::bf16) && storage.dims.size() >= 1 && storage.dims.size() <= 5; }

}  // namespace

bool lower_float_unary(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const auto activation = activation_of(planner, node);
  if (!activation || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Storage form = planner.form(node.inputs[0]);
  if (!float_form(form)) return false;
  const SlotId source = planner.slot(node.inputs[0], form.layout, form.type);
  const SlotId target = planner.define(node.outputs[0], form);
  const auto desc = memory_desc(form);
  const dnnl::eltwise_forward::desc eltwise(dnnl::prop_kind::forward_inference, activation->algorithm, desc, activation->alpha, activation->beta);
  const dnnl::eltwise_forward::primitive_desc described(eltwise, cpu_engine());
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::eltwise_forward(described));
  step->bind_slot(DNNL_ARG_SRC, source, desc);
  step->bind_slot(DNNL_ARG_DST, target, desc);
  step->reads = {source};
  step->writes = target;
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("onednn ") + described.impl_info_str(),
                  form.type == Type::bf16 ? "bf16" : "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

bool lower_float_binary(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  using A = dnnl::algorithm;
  const std::map<std::string, A> known{{"Add", A::binary_add}, {"Sub", A::binary_sub}, {"Mul", A::binary_mul}, {"Div", A::binary_div}};
  auto algorithm = known.find(node.op_type);
  if (algorithm == known.end() || !node.domain.empty()) return false;
  ValueId a = node.inputs[0], b = node.inputs[1];
  // oneDNN repeats its second operand only.
  const bool symmetric = algorithm->second == A::binary_add || algorithm->second == A::binary_mul;
  if (symmetric && (planner.graph.constant(a) != nullptr || planner.dims(a) != planner.dims(node.outputs[0]))) std::swap(a, b);
  if (planner.graph.at(a).type != Type::f32 || planner.graph.constant(a) != nullptr) return false;
  const Dims a_dims = planner.dims(a);
  Dims b_dims = planner.dims(b);
  if (a_dims != planner.dims(node.outputs[0]) || a_dims.empty() || a_dims.size() > 5) return false;
  while (b_dims.size() < a_dims.size()) b_dims.insert(b_dims.begin(), 1);
  const Tensor* constant = planner.graph.constant(b);
  const bool repeated = constant == nullptr && planner.dims(b) != a_dims;
  Storage form = planner.form(a);
  if (constant == nullptr && !repeated && form.layout == Layout::plain) form = planner.form(b);
  if (!float_form(form)) return false;
  if (repeated && planner.dims(b).size() != a_dims.size() && form.layout != Layout::plain) form.layout = Layout::plain;
  const SlotId source = planner.slot(a, form.layout, form.type);
  const SlotId other = constant == nullptr ? planner.slot(b, form.layout, form.type) : -1;
  const auto desc = memory_desc(form);
  dnnl::memory::desc second = constant == nullptr ? memory_desc({form.type, b_dims, form.layout}) : desc;
  dnnl::memory second_memory;
  if (constant != nullptr) {
    const Storage plain{Type::f32, b_dims, Layout::plain};
    second = memory_desc(plain);
    second_memory = constant_memory(second, constant->decode(), second.dims());
  }
  std::optional<dnnl::binary::primitive_desc> described;
  try {
    described.emplace(dnnl::binary::desc(algorithm->second, desc, second, desc), cpu_engine());
  } catch (const dnnl::error&) {
    return planner.refuse("oneDNN has no form for this broadcast"), false;
  }
  const SlotId target = planner.define(node.outputs[0], form);
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::binary(*described));
  step->bind_slot(DNNL_ARG_SRC_0, source, desc);
  if (constant == nullptr) step->bind_slot(DNNL_ARG_SRC_1, other, second);
  else step->bind_memory(DNNL_ARG_SRC_1, second_memory);
  step->bind_slot(DNNL_ARG_DST, target, desc);
  step->reads = {source};
  if (other >= 0) step->reads.push_back(other);
  step->writes = target;
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("onednn ") + described->impl_info_str(),
                  form.type == Type::bf16 ? "bf16" : "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

// PRelu with a slope a channel.
bool lower_float_prelu(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* slope = planner.graph.constant(node.input(1));
  if (!node.is("PRelu") || slope == nullptr || planner.graph.at(node.inputs[0]).type != Type::f32 || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const Storage form = planner.form(node.inputs[0]);
  Dims dims = slope->dims;
  while (dims.size() < form.dims.size()) dims.insert(dims.begin(), 1);
  if (form.type != Type::f32 || form.dims.size() != 4 || dims != Dims{1, form.dims[1], 1, 1} || count_of(form.dims) == 0) return false;
  const auto desc = memory_desc(form);
  const dnnl::memory::desc wanted({1, form.dims[1], 1, 1}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any);
  const dnnl::prelu_forward::primitive_desc described(dnnl::prelu_forward::desc(dnnl::prop_kind::forward_inference, desc, wanted), cpu_engine());
  const SlotId source = planner.slot(node.inputs[0], form.layout, form.type), target = planner.define(node.outputs[0], form);
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::prelu_forward(described));
  step->bind_slot(DNNL_ARG_SRC, source, desc);
  step->bind_slot(DNNL_ARG_DST, target, desc);
  step->bind_memory(DNNL_ARG_WEIGHTS, constant_memory(described.weights_desc(), slope->decode(), wanted.dims()));
  step->reads = {source};
  step->writes = target;
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("onednn ") + described.impl_info_str(), "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
