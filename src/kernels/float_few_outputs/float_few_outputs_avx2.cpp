#include "kernels/cpu.h"
#include "kernels/float_few_outputs/loops.h"

namespace pare {

extern const FewOutputsKernel float_few_outputs_avx2;
const FewOutputsKernel float_few_outputs_avx2{"float_few_outputs_avx2", "avx2", runs_avx2, kVector, 32, 1, run_few_outputs<Singles>};

}  // namespace pare
