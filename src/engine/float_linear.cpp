#include "engine/float_linear.h"

#include <algorithm>

namespace pare {
namespace {

// MatMul has no bias of its own: exporters add it behind.
void take_bias(const Planner& planner, Linear& linear) {
  const int next = planner.only_consumer(linear.result);
  if (next < 0 || !planner.graph.nodes[size_t(next)].is("Add")) return;
  const Node& add = planner.graph.nodes[size_t(next)];
  const Tensor* bias = planner.graph.constant(add.inputs[add.inputs[0] == linear.result ? 1 : 0]);
  if (bias == nullptr || bias->count() != linear.columns || bias->dims.empty() || bias->dims.back() != linear.columns) return;
  if (planner.dims(add.outputs[0]) != planner.dims(linear.result)) return;  // a bias of more axes gives the result more
  linear.bias = bias->decode().cast(Type::f32);
  linear.add = next;
  linear.result = add.outputs[0];
}

}  // namespace

std::optional<Linear> linear_of(Planner& planner, const Node& node) {
  if (!(node.is("Gemm") || node.is("MatMul")) || planner.graph.constant(node.input(1)) == nullptr || planner.graph.constant(node.input(0)) != nullptr) return std::nullopt;
  const Array w = planner.constant(node.inputs[1]).cast(Type::f32);
  const Dims x = planner.dims(node.inputs[0]);
  if (w.rank() != 2 || x.size() < 2) return std::nullopt;
  Linear linear;
  bool transposed = false;
  if (node.is("Gemm")) {
    if (node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1 || node.real("beta", 1) != 1) return std::nullopt;
    transposed = node.integer("transB", 0) != 0;
    if (node.input(2) != kNone) {
      const Tensor* c = planner.graph.constant(node.inputs[2]);
      if (c == nullptr || (c->count() != w.dim(transposed ? 0 : 1))) return std::nullopt;
      linear.bias = c->decode().cast(Type::f32);
    }
  }
  linear.inner = w.dim(transposed ? 1 : 0);
  linear.columns = w.dim(transposed ? 0 : 1);
  linear.rows = count_of(x) / std::max<int64_t>(x.back(), 1);
  if (x.back() != linear.inner) return std::nullopt;
  linear.weight = w;
  linear.transposed = transposed;
  linear.result = node.outputs[0];
  if (linear.bias.empty()) take_bias(planner, linear);
  if (linear.bias.empty()) linear.bias = Array(Type::f32, {linear.columns});
  linear.bias = linear.bias.reshaped({linear.columns});
  return linear;
}

Array Linear::turned() const {
  if (transposed) return weight;
  Array turned_weight(Type::f32, {columns, inner});
  auto to = turned_weight.mutable_values<float>();
  const auto from = weight.values<float>();
  for (int64_t i = 0; i < inner; ++i)
    for (int64_t j = 0; j < columns; ++j) to[size_t(j * inner + i)] = from[size_t(i * columns + j)];
  return turned_weight;
}

void FloatLinearStep::run(std::byte* const* slots, int thread, int threads) {
  FloatLinear mine = job;
  mine.weights = weights.bytes();
  mine.bias = bias.empty() ? nullptr : bias.values<float>().data();
  const int64_t x_bytes = kernel->bits / 8, y_bytes = job.wide ? 4 : x_bytes;
  for (int64_t image = 0; image < images; ++image) {
    mine.x = slots[source] + image * x_image * x_bytes;
    mine.y = slots[target] + image * y_image * y_bytes;
    mine.residual = residual < 0 ? nullptr : slots[residual] + image * y_image * y_bytes;
    kernel->run(mine, thread, threads);
  }
}

const FloatLinearKernel* float_linear_kernel(Type type, int64_t inner) {
  const FloatLinearKernel* kernel =
      type == Type::f32 || type == Type::bf16
          ? best_float_linear_kernel(type_bits(type), type == Type::f32 ? FloatWeights::f32 : FloatWeights::bf16)
          : nullptr;
  // Without wide vectors oneDNN is the better of the two.
  const bool fits = kernel != nullptr && kernel->lanes >= 8 && inner > 0 && inner % kernel->step == 0;
  return fits ? kernel : nullptr;
}

std::unique_ptr<FloatLinearStep> make_float_linear(const FloatLinearKernel& kernel, const FloatMatrix& matrix,
                                                   const Array& bias) {
  Array packed(Type::u8, {float_linear_bytes(kernel, matrix.inner, matrix.columns)});
  pack_float_linear(kernel, matrix, packed.mutable_bytes());
  return make_float_linear(kernel, matrix.inner, matrix.columns, std::move(packed), bias);
}

std::unique_ptr<FloatLinearStep> make_float_linear(const FloatLinearKernel& kernel, int64_t inner, int64_t columns,
                                                   Array packed, const Array& bias) {
  auto step = std::make_unique<FloatLinearStep>();
  step->kernel = &kernel;
  step->job.inner = inner;
  step->job.columns = columns;
  step->weights = std::move(packed);
  step->bias = Array(Type::f32, {(columns + kernel.lanes - 1) / kernel.lanes * kernel.lanes});
  if (!bias.empty())
    std::copy_n(bias.cast(Type::f32).values<float>().begin(), columns, step->bias.mutable_values<float>().begin());
  return step;
}

}  // namespace pare
