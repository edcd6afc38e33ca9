#include "kernels/cpu.h"
#include "kernels/float_depthwise/loops.h"

namespace pare {

extern const FloatDepthwiseKernel float_depthwise_base;
const FloatDepthwiseKernel float_depthwise_base{"float_depthwise_base", "scalar", runs_anywhere, kVector, run_depthwise};

}  // namespace pare
