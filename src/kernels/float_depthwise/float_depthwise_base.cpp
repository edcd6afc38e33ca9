#include "kernels/float_depthwise/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FloatDepthwiseKernel float_depthwise_base;
const FloatDepthwiseKernel float_depthwise_base{"float_depthwise_base", "scalar", supported, kVector, run_depthwise};

}  // namespace pare
