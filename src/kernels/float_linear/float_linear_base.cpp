#include "kernels/float_linear/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FloatLinearKernel float_linear_base, float_linear_f16_weights_base, float_linear_bf16_weights_base;
const FloatLinearKernel float_linear_base = linear_row<Single>("float_linear_scalar", "scalar", supported);
const FloatLinearKernel float_linear_f16_weights_base = linear_row<HalfWeights>("float_linear_f16_weights_scalar", "scalar", supported);
const FloatLinearKernel float_linear_bf16_weights_base = linear_row<BrainWeights>("float_linear_bf16_weights_scalar", "scalar", supported);

}  // namespace pare
