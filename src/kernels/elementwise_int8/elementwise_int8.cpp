#include "kernels/elementwise_int8/elementwise_int8.h"

#define PARE_KERNEL_TYPE ElementwiseInt8Kernel
#define PARE_KERNELS elementwise_int8_kernels
#define PARE_KERNEL_ROWS "kernels/elementwise_int8/kernels.inc"
#include "kernels/rows.inc"
