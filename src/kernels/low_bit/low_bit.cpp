#include "kernels/low_bit/low_bit.h"

#include <algorithm>

#define PARE_KERNEL_TYPE LowBitKernel
#define PARE_KERNELS low_bit_kernels
#define PARE_KERNEL_ROWS "kernels/low_bit/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const LowBitKernel& best_low_bit_kernel() {
  const auto rows = low_bit_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const LowBitKernel& row) { return row.supported(); });
}

}  // namespace pare
