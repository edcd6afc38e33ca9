#include "kernels/cpu.h"
#include "kernels/float_few_outputs/loops.h"

namespace pare {

extern const FewOutputsKernel float_few_outputs_avx512;
const FewOutputsKernel float_few_outputs_avx512{"float_few_outputs_avx512", "avx512", runs_avx512, kVector, 32, 1, run_few_outputs<Singles>};

}  // namespace pare
