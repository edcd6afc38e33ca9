#include "kernels/cpu.h"
#include "kernels/float_depthwise/loops.h"

namespace pare {

extern const FloatDepthwiseKernel float_depthwise_avx512;
const FloatDepthwiseKernel float_depthwise_avx512{"float_depthwise_avx512", "avx512", runs_avx512, kVector, run_depthwise};

}  // namespace pare
