#include "kernels/float_winograd/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const WinogradKernel float_winograd_base, float_winograd_2_base;
const WinogradKernel float_winograd_base = winograd_row<4>("float_winograd_scalar", "scalar", supported);
const WinogradKernel float_winograd_2_base = winograd_row<2>("float_winograd_2_scalar", "scalar", supported);

}  // namespace pare
