#include "kernels/cpu.h"
#include "kernels/scale_search/loops.h"

namespace pare {

extern const ScaleSearchKernel scale_search_base;
const ScaleSearchKernel scale_search_base{"scale_search_scalar", "scalar", runs_anywhere, lay_side_by_side, extremes, fit_scales, fit_shifted, settle, round};

}  // namespace pare
