#include "kernels/float_linear/loops.h"

namespace pare {
namespace {

// Every CPU with FMA has F16C, which clang cannot ask for.
bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const FloatLinearKernel float_linear_avx2, float_linear_f16_weights_avx2, float_linear_bf16_weights_avx2;
const FloatLinearKernel float_linear_avx2 = linear_row<Single>("float_linear_avx2", "avx2", supported);
const FloatLinearKernel float_linear_f16_weights_avx2 = linear_row<HalfWeights>("float_linear_f16_weights_avx2", "avx2", supported);
const FloatLinearKernel float_linear_bf16_weights_avx2 = linear_row<BrainWeights>("float_linear_bf16_weights_avx2", "avx2", supported);

}  // namespace pare
