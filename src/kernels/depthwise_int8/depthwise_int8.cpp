#include "kernels/depthwise_int8/depthwise_int8.h"

#define PARE_KERNEL_TYPE DepthwiseInt8Kernel
#define PARE_KERNELS depthwise_int8_kernels
#define PARE_KERNEL_ROWS "kernels/depthwise_int8/kernels.inc"
#include "kernels/rows.inc"
