#include "kernels/float_depthwise/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const FloatDepthwiseKernel float_depthwise_avx512;
const FloatDepthwiseKernel float_depthwise_avx512{"float_depthwise_avx512", "avx512", supported, kVector, run_depthwise};

}  // namespace pare
