#include "kernels/float_depthwise/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const FloatDepthwiseKernel float_depthwise_avx2;
const FloatDepthwiseKernel float_depthwise_avx2{"float_depthwise_avx2", "avx2", supported, kVector, run_depthwise};

}  // namespace pare
