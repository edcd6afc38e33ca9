// Linear layers: Gemm and MatMul with a constant matrix, by our own kernel or, where rows are few, as oneDNN's inner product
// with packed weights.
#include <algorithm>

#include "engine/float_linear.h"
#include "engine/onednn/onednn.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

using dnnl::memory;

constexpr int64_t kLeastRows = 6;  // fewer do not hide the latency of a sum in our kernel

// A layer of 16-bit weights alone reads the value, and reads it in 16 bits.
bool read_as(const Planner& planner, ValueId value, Type type) {
  const int next = planner.only_consumer(value);
  if (next < 0) return false;
  const Node& node = planner.graph.nodes[size_t(next)];
  return (node.is("MatMul") || node.is("Gemm")) && node.inputs[0] == value && planner.graph.constant(node.inputs[1]) != nullptr && compute_type(planner, node.inputs[1]) == type;
}

// By our own kernel. False where it lacks something.
bool lower_by_kernel(Planner& planner, const Node& node, const Linear& linear, const Fused& fused, Type type) {
  const FloatLinearKernel* kernel = float_linear_kernel(type, linear.inner);
  const auto functions = functions_of(fused);
  if (kernel == nullptr || !functions || linear.rows < kLeastRows) return false;
  const FloatMatrix matrix{linear.weight.bytes(), linear.transposed ? 1 : linear.columns,
                           linear.transposed ? linear.inner : 1, linear.inner, linear.columns};
  auto step = make_float_linear(*kernel, matrix, linear.bias);
  const bool narrow = type != Type::f32 && fused.residual == kNone && read_as(planner, fused.result, type);
  step->source = planner.slot(node.inputs[0], Layout::plain, type);
  step->reads = {step->source};
  if (fused.residual != kNone) {
    step->residual = planner.slot(fused.residual, Layout::plain, Type::f32);
    step->reads.push_back(step->residual);
  }
  step->target = step->writes = planner.define(fused.result, {narrow ? type : Type::f32, planner.dims(fused.result), Layout::plain});
  FloatLinear& job = step->job;
  job.x_row = job.x_inner = linear.inner;
  job.y_row = linear.columns;
  job.y_block = kernel->lanes;
  job.rows = linear.rows;
  job.wide = !narrow;
  job.first = functions->first;
  job.last = functions->last;
  step->report = {node.name, node.op_type + fused.text, planner.graph.at(fused.result).name, kernel->name, type == Type::bf16 ? "bf16" : "f32", "",
                  linear.rows * linear.inner * linear.columns, planner.graph.constant(node.inputs[1])->size_bytes(), 0};
  for (int fused_node : fused.nodes) planner.done[size_t(fused_node)] = 1;
  planner.emit(std::move(step));
  return true;
}

}  // namespace

bool lower_float_linear(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const auto linear = linear_of(planner, node);
  if (!linear) return false;
  const Type type = compute_type(planner, node.inputs[1]);
  Fused fused = fuse_behind(planner, linear->result, true);
  if (linear->add >= 0) {
    fused.nodes.push_back(linear->add);
    fused.text = "+Add" + fused.text;
  }
  if (lower_by_kernel(planner, node, *linear, fused, type)) return true;
  const SlotId source = planner.slot(node.inputs[0], Layout::plain, type);
  const SlotId target = planner.define(fused.result, {Type::f32, planner.dims(fused.result), Layout::plain});
  const memory::desc x({linear->rows, linear->inner}, data_type(type), memory::format_tag::ab);
  const memory::desc w({linear->columns, linear->inner}, data_type(type), memory::format_tag::any);
  const memory::desc b({linear->columns}, memory::data_type::f32, memory::format_tag::a);
  const memory::desc y({linear->rows, linear->columns}, memory::data_type::f32, memory::format_tag::ab);
  const SlotId residual = fused.residual == kNone ? -1 : planner.slot(fused.residual, Layout::plain, Type::f32);
  const dnnl::post_ops ops = post_ops_of(fused, false, y);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  const dnnl::inner_product_forward::desc desc(dnnl::prop_kind::forward_inference, x, w, b, y);
  const dnnl::inner_product_forward::primitive_desc described(desc, attributes, cpu_engine());
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::inner_product_forward(described));
  step->bind_slot(DNNL_ARG_SRC, source, x);
  step->bind_slot(DNNL_ARG_DST, target, y);
  step->bind_memory(DNNL_ARG_WEIGHTS, constant_memory(described.weights_desc(), linear->turned(), {linear->columns, linear->inner}));
  step->bind_memory(DNNL_ARG_BIAS, constant_memory(b, linear->bias, {linear->columns}));
  step->reads = {source};
  if (residual >= 0) {
    step->reads.push_back(residual);
    step->bind_slot(residual_argument(fused), residual, y);
  }
  step->writes = target;
  step->report = {node.name, node.op_type + fused.text, planner.graph.at(fused.result).name, std::string("onednn ") + described.impl_info_str(),
                  type == Type::bf16 ? "bf16" : "f32", "", linear->rows * linear->inner * linear->columns, planner.graph.constant(node.inputs[1])->size_bytes(), 0};
  for (int fused_node : fused.nodes) planner.done[size_t(fused_node)] = 1;
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
