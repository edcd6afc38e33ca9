#include "kernels/float_rows/float_rows.h"

#include <algorithm>

#define PARE_KERNEL_TYPE FloatRowsKernel
#define PARE_KERNELS float_rows_kernels
#define PARE_KERNEL_ROWS "kernels/float_rows/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FloatRowsKernel& best_float_rows_kernel() {
  const auto rows = float_rows_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const FloatRowsKernel& row) { return row.supported(); });
}

}  // namespace pare
