#include "kernels/float_linear/float_linear.h"

#include <algorithm>
#include <cstring>

#include "base/float16.h"
#include "kernels/float_linear/panels.h"

#define PARE_KERNEL_TYPE FloatLinearKernel
#define PARE_KERNELS float_linear_kernels
#define PARE_KERNEL_ROWS "kernels/float_linear/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

namespace {

int stored_bytes(FloatWeights type) {
  return type == FloatWeights::f32 ? 4 : 2;
}

// Element i of stored weights, which have no alignment.
float weight_at(const void* from, FloatWeights type, int64_t i) {
  const std::byte* at = static_cast<const std::byte*>(from) + i * stored_bytes(type);
  float value;
  uint16_t bits;
  if (type == FloatWeights::f32) {
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  std::memcpy(&bits, at, sizeof bits);
  return type == FloatWeights::f16 ? to_float(Half{bits}) : to_float(BFloat16{bits});
}

void put_weight(void* to, FloatWeights type, int64_t i, float value) {
  if (type == FloatWeights::f32)
    static_cast<float*>(to)[i] = value;
  else
    static_cast<uint16_t*>(to)[i] = type == FloatWeights::f16 ? to_half(value).bits : to_bfloat16(value).bits;
}

// Every place of these panels, and which element of the matrix lies there; −1: none, behind the last column.
template <class Put>
void for_packed(const FloatLinearKernel& kernel, const FloatMatrix& m, int64_t first_panel, int64_t last_panel,
                const Put& put) {
  const LinearPanels panels((m.columns + kernel.lanes - 1) / kernel.lanes);
  int64_t place = panels.begin(first_panel) * kernel.lanes * m.inner;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t first = panels.begin(panel) * kernel.lanes, last = panels.begin(panel + 1) * kernel.lanes;
    for (int64_t k = 0; k < m.inner; k += kernel.step)
      for (int64_t column = first; column < last; ++column)
        for (int64_t i = k; i < k + kernel.step; ++i)
          put(place++, column < m.columns ? i * m.inner_stride + column * m.column_stride : -1);
  }
}

template <class Stored>
void copy_packed(const FloatLinearKernel& kernel, const FloatMatrix& m, int64_t first, int64_t last, void* to) {
  for_packed(kernel, m, first, last, [&](int64_t place, int64_t i) {
    Stored value = 0;
    if (i >= 0) std::memcpy(&value, static_cast<const Stored*>(m.from) + i, sizeof value);
    static_cast<Stored*>(to)[place] = value;
  });
}

}  // namespace

const FloatLinearKernel* best_float_linear_kernel(int bits, FloatWeights weights) {
  const auto rows = float_linear_kernels();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const FloatLinearKernel& row) {
    return row.bits == bits && row.weights == weights && row.supported();
  });
  return found == rows.end() ? nullptr : &*found;
}

int64_t float_linear_panels(const FloatLinearKernel& kernel, int64_t columns) {
  return LinearPanels((columns + kernel.lanes - 1) / kernel.lanes).count;
}

int64_t float_linear_bytes(const FloatLinearKernel& kernel, int64_t inner, int64_t columns) {
  return (columns + kernel.lanes - 1) / kernel.lanes * kernel.lanes * inner * stored_bytes(kernel.weights);
}

void pack_float_linear(const FloatLinearKernel& kernel, const FloatMatrix& matrix, int64_t first, int64_t last,
                       void* to) {
  if (matrix.type != kernel.weights)
    for_packed(kernel, matrix, first, last, [&](int64_t place, int64_t i) {
      put_weight(to, kernel.weights, place, i < 0 ? 0 : weight_at(matrix.from, matrix.type, i));
    });
  else if (kernel.weights == FloatWeights::f32)
    copy_packed<float>(kernel, matrix, first, last, to);
  else
    copy_packed<uint16_t>(kernel, matrix, first, last, to);
}

void pack_float_linear(const FloatLinearKernel& kernel, const FloatMatrix& matrix, void* to) {
  pack_float_linear(kernel, matrix, 0, float_linear_panels(kernel, matrix.columns), to);
}

}  // namespace pare
