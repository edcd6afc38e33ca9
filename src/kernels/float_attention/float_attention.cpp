#include "kernels/float_attention/float_attention.h"

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE FloatAttentionKernel
#define PARE_KERNELS float_attention_kernels
#define PARE_KERNEL_ROWS "kernels/float_attention/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FloatAttentionKernel& best_float_attention_kernel() { return *find_kernel_of(float_attention_kernels(), 32); }
const FloatAttentionKernel* best_brain_attention_kernel() { return find_kernel_of(float_attention_kernels(), 16); }

int64_t float_attention_scratch(int64_t rows, int64_t keys, int64_t width, int64_t value_width, int bits) {
  const auto whole = [](int64_t n) { return (n + 15) / 16 * 16; };
  if (bits == 16) {
    // Pairs of keys' and queries' elements, scores, a factor a row, pairs of weights and of values, and results of whole vectors.
    const int64_t pairs = whole((width + 1) / 2), columns = whole(keys);
    return pairs * (columns + rows) + columns * rows + whole(rows) + rows * whole((columns + 1) / 2) + (columns + 1) / 2 * whole(value_width) + rows * whole(value_width);
  }
  // Transposed keys, scores, a factor a row, and where rows of values are no whole vectors, copies of values and results.
  return whole(keys) * (width + rows) + whole(rows) + (value_width % 16 != 0 ? whole(value_width) * (keys + rows) : 0);
}

}  // namespace pare
