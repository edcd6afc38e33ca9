#include "kernels/float_linear/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const FloatLinearKernel float_linear_avx2;
const FloatLinearKernel float_linear_avx2{"float_linear_avx2", "avx2", supported, kVector, 1, 32, run_linear<Single>};

}  // namespace pare
