#include "kernels/float_few_outputs/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const FewOutputsKernel float_few_outputs_avx512;
const FewOutputsKernel float_few_outputs_avx512{"float_few_outputs_avx512", "avx512", supported, kVector, run_few_outputs};

}  // namespace pare
