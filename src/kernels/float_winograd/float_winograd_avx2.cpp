#include "kernels/cpu.h"
#include "kernels/float_winograd/loops.h"

namespace pare {

extern const WinogradKernel float_winograd_avx2, float_winograd_2_avx2;
const WinogradKernel float_winograd_avx2 = winograd_row<4>("float_winograd_avx2", "avx2", runs_avx2);
const WinogradKernel float_winograd_2_avx2 = winograd_row<2>("float_winograd_2_avx2", "avx2", runs_avx2);

}  // namespace pare
