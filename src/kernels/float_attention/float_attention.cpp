#include "kernels/float_attention/float_attention.h"

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE FloatAttentionKernel
#define PARE_KERNELS float_attention_kernels
#define PARE_KERNEL_ROWS "kernels/float_attention/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FloatAttentionKernel& best_float_attention_kernel() { return choose_kernel(float_attention_kernels()); }

int64_t float_attention_scratch(int64_t rows, int64_t keys, int64_t width, int64_t value_width) {
  const auto whole = [](int64_t n) { return (n + 15) / 16 * 16; };
  // Transposed keys, scores, a factor a row, and where rows of values are no whole vectors, copies of values and results.
  return whole(keys) * (width + rows) + whole(rows) + (value_width % 16 != 0 ? whole(value_width) * (keys + rows) : 0);
}

}  // namespace pare
