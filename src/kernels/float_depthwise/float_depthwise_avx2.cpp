#include "kernels/cpu.h"
#include "kernels/float_depthwise/loops.h"

namespace pare {

extern const FloatDepthwiseKernel float_depthwise_avx2;
const FloatDepthwiseKernel float_depthwise_avx2{"float_depthwise_avx2", "avx2", runs_avx2, kVector, run_depthwise};

}  // namespace pare
