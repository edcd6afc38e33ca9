#include "kernels/float_few_outputs/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const FewOutputsKernel float_few_outputs_avx2;
const FewOutputsKernel float_few_outputs_avx2{"float_few_outputs_avx2", "avx2", supported, kVector, run_few_outputs};

}  // namespace pare
