#include "kernels/cpu.h"
#include "kernels/float_few_outputs/loops.h"

namespace pare {

extern const FewOutputsKernel float_few_outputs_base;
const FewOutputsKernel float_few_outputs_base{"float_few_outputs_scalar", "scalar", runs_anywhere, kVector, 32, 1, run_few_outputs<Singles>};

}  // namespace pare
