#include "kernels/cpu.h"
#include "kernels/float_winograd/loops.h"

namespace pare {

extern const WinogradKernel float_winograd_avx512, float_winograd_2_avx512;
const WinogradKernel float_winograd_avx512 = winograd_row<4>("float_winograd_avx512", "avx512", runs_avx512);
const WinogradKernel float_winograd_2_avx512 = winograd_row<2>("float_winograd_2_avx512", "avx512", runs_avx512);

}  // namespace pare
