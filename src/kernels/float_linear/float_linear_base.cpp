#include "kernels/cpu.h"
#include "kernels/float_linear/loops.h"

namespace pare {

extern const FloatLinearKernel float_linear_base, float_linear_f16_weights_base, float_linear_bf16_weights_base;
const FloatLinearKernel float_linear_base = linear_row<Single>("float_linear_scalar", "scalar", runs_anywhere);
const FloatLinearKernel float_linear_f16_weights_base = linear_row<HalfWeights>("float_linear_f16_weights_scalar", "scalar", runs_anywhere);
const FloatLinearKernel float_linear_bf16_weights_base = linear_row<BrainWeights>("float_linear_bf16_weights_scalar", "scalar", runs_anywhere);

}  // namespace pare
