#include "engine/float_linear.h"

#include <algorithm>

namespace pare {

void FloatLinearStep::run(std::byte* const* slots, int thread, int threads) {
  FloatLinear mine = job;
  mine.weights = weights.bytes();
  mine.bias = bias.values<float>().data();
  const int64_t x_bytes = kernel->bits / 8, y_bytes = job.wide ? 4 : x_bytes;
  for (int64_t image = 0; image < images; ++image) {
    mine.x = slots[source] + image * x_image * x_bytes;
    mine.y = slots[target] + image * y_image * y_bytes;
    mine.residual = residual < 0 ? nullptr : slots[residual] + image * y_image * y_bytes;
    kernel->run(mine, thread, threads);
  }
}

const FloatLinearKernel* float_linear_kernel(Type type, int64_t inner) {
  const FloatLinearKernel* kernel = type == Type::f32 || type == Type::bf16 ? best_float_linear_kernel(type_bits(type)) : nullptr;
  // Without wide vectors oneDNN is the better of the two.
  const bool fits = kernel != nullptr && kernel->lanes >= 8 && inner > 0 && inner % kernel->step == 0;
  return fits ? kernel : nullptr;
}

std::unique_ptr<FloatLinearStep> make_float_linear(const FloatLinearKernel& kernel, const float* from, int64_t inner_stride, int64_t column_stride, int64_t inner,
                                                   int64_t columns, const Array& bias) {
  auto step = std::make_unique<FloatLinearStep>();
  step->kernel = &kernel;
  step->job.inner = inner;
  step->job.columns = columns;
  step->weights = Array(Type::u8, {float_linear_bytes(kernel, inner, columns)});
  pack_float_linear(kernel, from, inner_stride, column_stride, inner, columns, step->weights.mutable_bytes());
  step->bias = Array(Type::f32, {(columns + kernel.lanes - 1) / kernel.lanes * kernel.lanes});
  std::copy_n(bias.cast(Type::f32).values<float>().begin(), columns, step->bias.mutable_values<float>().begin());
  return step;
}

}  // namespace pare
