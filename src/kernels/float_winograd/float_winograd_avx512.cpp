#include "kernels/float_winograd/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const WinogradKernel float_winograd_avx512, float_winograd_2_avx512;
const WinogradKernel float_winograd_avx512 = winograd_row<4>("float_winograd_avx512", "avx512", supported);
const WinogradKernel float_winograd_2_avx512 = winograd_row<2>("float_winograd_2_avx512", "avx512", supported);

}  // namespace pare
