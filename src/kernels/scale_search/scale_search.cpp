#include "kernels/scale_search/scale_search.h"

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE ScaleSearchKernel
#define PARE_KERNELS scale_search_kernels
#define PARE_KERNEL_ROWS "kernels/scale_search/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const ScaleSearchKernel& best_scale_search_kernel() {
  static const ScaleSearchKernel& best = choose_kernel(scale_search_kernels());
  return best;
}

}  // namespace pare
