#include "kernels/float_linear/float_linear.h"

#include <algorithm>

#include "base/float16.h"
#include "kernels/float_linear/panels.h"

#define PARE_KERNEL_TYPE FloatLinearKernel
#define PARE_KERNELS float_linear_kernels
#define PARE_KERNEL_ROWS "kernels/float_linear/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FloatLinearKernel* best_float_linear_kernel(int bits) {
  const auto rows = float_linear_kernels();
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const FloatLinearKernel& row) { return row.bits == bits && row.supported(); });
  return found == rows.end() ? nullptr : &*found;
}

int64_t float_linear_bytes(const FloatLinearKernel& kernel, int64_t inner, int64_t columns) {
  return (columns + kernel.lanes - 1) / kernel.lanes * kernel.lanes * inner * kernel.bits / 8;
}

void pack_float_linear(const FloatLinearKernel& kernel, const float* from, int64_t inner_stride, int64_t column_stride, int64_t inner, int64_t columns, void* to) {
  auto* floats = static_cast<float*>(to);
  auto* brains = static_cast<uint16_t*>(to);
  const LinearPanels panels((columns + kernel.lanes - 1) / kernel.lanes);
  for (int64_t panel = 0; panel < panels.count; ++panel) {
    const int64_t first = panels.begin(panel) * kernel.lanes, last = panels.begin(panel + 1) * kernel.lanes;
    for (int64_t k = 0; k < inner; k += kernel.step)
      for (int64_t column = first; column < last; ++column)
        for (int64_t i = k; i < k + kernel.step; ++i) {
          const float w = column < columns ? from[i * inner_stride + column * column_stride] : 0;
          if (kernel.bits == 32) *floats++ = w;
          else *brains++ = to_bfloat16(w).bits;
        }
  }
}

}  // namespace pare
