#include "kernels/float_linear/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FloatLinearKernel float_linear_base;
const FloatLinearKernel float_linear_base{"float_linear_scalar", "scalar", supported, kVector, 1, 32, run_linear<Single>};

}  // namespace pare
