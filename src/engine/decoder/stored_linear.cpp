// Linear layers whose weights are floats, 16 or 32 bits each: kept in as many, and packed once whatever the number of
// rows.
#include <algorithm>

#include "base/large_pages.h"
#include "base/threads.h"
#include "codecs/codecs.h"
#include "engine/decoder/linear.h"
#include "engine/float_linear.h"

namespace pare {
namespace {

std::optional<FloatWeights> stored_as(const Tensor& tensor) {
  if (tensor.plain()) return tensor.type == Type::f32 ? std::optional(FloatWeights::f32) : std::nullopt;
  if (tensor.codec == &codec_float16) return FloatWeights::f16;
  return tensor.codec == &codec_bfloat16 ? std::optional(FloatWeights::bf16) : std::nullopt;
}

std::shared_ptr<std::byte> pack(const Tensor& tensor, const FloatLinearKernel& kernel) {
  const Array& bytes = tensor.parts[0];
  const int64_t columns = tensor.dims[0], inner = tensor.dims[1];
  const FloatMatrix matrix{bytes.bytes(), 1, inner, inner, columns, kernel.weights};
  const size_t row_bytes = bytes.size_bytes() / size_t(columns), panel_bytes = 2 * size_t(kernel.lanes) * row_bytes;
  const int64_t chunk = std::max<int64_t>(1, int64_t(kGivenBack / panel_bytes));
  auto packed = large_page_memory(size_t(float_linear_bytes(kernel, inner, columns)));
  parallel_for(float_linear_panels(kernel, columns), [&](int64_t first, int64_t last) {
    for (int64_t panel = first; panel < last; panel += chunk) {
      pack_float_linear(kernel, matrix, panel, std::min(last, panel + chunk), packed.get());
      if (panel + chunk < last) bytes.give_back(size_t(panel) * panel_bytes, size_t(chunk) * panel_bytes);
    }
  });
  bytes.give_back(0, bytes.size_bytes());
  return packed;
}

Array packed_of(const TensorPtr& tensor, const FloatLinearKernel& kernel) {
  static PackedWeights<std::byte> all;
  const int64_t size = float_linear_bytes(kernel, tensor->dims[1], tensor->dims[0]);
  const std::shared_ptr<std::byte> packed = all.of(tensor, [&](const Tensor& weight) { return pack(weight, kernel); });
  return Array(Type::u8, {size}, packed, packed.get(), size_t(size));
}

}  // namespace

bool lower_stored_linear(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* tensor = weight_of_linear(planner, node);
  const auto stored = tensor != nullptr && tensor->count() > 0 ? stored_as(*tensor) : std::nullopt;
  // Where several lengths share the weights, else where they save memory and the CPU has no products of their own kind.
  if (!stored || (planner.options.cache == nullptr &&
                  best_float_linear_kernel(stored == FloatWeights::f32 ? 32 : 16, *stored) != nullptr))
    return false;
  const FloatLinearKernel& kernel = *best_float_linear_kernel(32, *stored);
  const TensorPtr weight = planner.graph.at(node.inputs[1]).constant;
  const Dims x = planner.dims(node.inputs[0]);
  const Array bias = node.input(2) == kNone ? Array() : planner.constant(node.inputs[2]);
  auto step = make_float_linear(kernel, tensor->dims[1], tensor->dims[0], packed_of(weight, kernel), bias);
  step->source = planner.slot(node.inputs[0], Layout::plain, Type::f32);
  step->reads = {step->source};
  ValueId result = node.outputs[0], other = kNone;
  const int add = residual_behind(planner, result, other);
  if (add >= 0) {
    result = planner.graph.nodes[size_t(add)].outputs[0];
    planner.done[size_t(add)] = 1;
    step->residual = planner.slot(other, Layout::plain, Type::f32);
    step->reads.push_back(step->residual);
  }
  step->target = step->writes = planner.define(result, {Type::f32, planner.dims(result), Layout::plain});
  FloatLinear& job = step->job;
  job.x_row = job.x_inner = job.inner;
  job.y_row = job.columns;
  job.y_block = kernel.lanes;
  job.rows = x[0];
  step->report = {node.name,
                  add >= 0 ? "Gemm+Add" : "Gemm",
                  planner.graph.at(result).name,
                  kernel.name,
                  tensor->plain() ? "f32" : tensor->codec->name,
                  "",
                  x[0] * job.inner * job.columns,
                  tensor->size_bytes(),
                  0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
