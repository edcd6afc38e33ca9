#include "kernels/float_rows/float_rows.h"

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE FloatRowsKernel
#define PARE_KERNELS float_rows_kernels
#define PARE_KERNEL_ROWS "kernels/float_rows/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FloatRowsKernel& best_float_rows_kernel() { return choose_kernel(float_rows_kernels()); }

}  // namespace pare
