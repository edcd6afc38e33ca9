#include "kernels/float_few_outputs/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FewOutputsKernel float_few_outputs_base;
const FewOutputsKernel float_few_outputs_base{"float_few_outputs_scalar", "scalar", supported, kVector, run_few_outputs};

}  // namespace pare
