#include "kernels/float_linear/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FloatLinearKernel float_linear_base, float_linear_f16_weights_base, float_linear_bf16_weights_base;
const FloatLinearKernel float_linear_base{"float_linear_scalar", "scalar",          supported, kVector, 1, 32,
                                          FloatWeights::f32,     run_linear<Single>};
const FloatLinearKernel float_linear_f16_weights_base{
    "float_linear_f16_weights_scalar", "scalar", supported, kVector, 1, 32, FloatWeights::f16, run_linear<HalfWeights>};
const FloatLinearKernel float_linear_bf16_weights_base{"float_linear_bf16_weights_scalar",
                                                       "scalar",
                                                       supported,
                                                       kVector,
                                                       1,
                                                       32,
                                                       FloatWeights::bf16,
                                                       run_linear<BrainWeights>};

}  // namespace pare
