#include "kernels/float_winograd/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const WinogradKernel float_winograd_avx2, float_winograd_2_avx2;
const WinogradKernel float_winograd_avx2 = winograd_row<4>("float_winograd_avx2", "avx2", supported);
const WinogradKernel float_winograd_2_avx2 = winograd_row<2>("float_winograd_2_avx2", "avx2", supported);

}  // namespace pare
