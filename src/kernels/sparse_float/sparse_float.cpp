#include "kernels/sparse_float/sparse_float.h"

#include <algorithm>

#define PARE_KERNEL_TYPE SparseFloatKernel
#define PARE_KERNELS sparse_float_kernels
#define PARE_KERNEL_ROWS "kernels/sparse_float/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const SparseFloatKernel& best_sparse_float_kernel() {
  const auto rows = sparse_float_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const SparseFloatKernel& row) { return row.supported(); });
}

}  // namespace pare
