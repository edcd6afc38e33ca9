#include "kernels/cpu.h"
#include "kernels/float_winograd/loops.h"

namespace pare {

extern const WinogradKernel float_winograd_base, float_winograd_2_base;
const WinogradKernel float_winograd_base = winograd_row<4>("float_winograd_scalar", "scalar", runs_anywhere);
const WinogradKernel float_winograd_2_base = winograd_row<2>("float_winograd_2_scalar", "scalar", runs_anywhere);

}  // namespace pare
