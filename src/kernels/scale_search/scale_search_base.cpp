#include "kernels/cpu.h"
#include "kernels/scale_search/loops.h"

namespace pare {

extern const ScaleSearchKernel scale_search_base;
const ScaleSearchKernel scale_search_base{"scale_search_scalar", "scalar", runs_anywhere, extremes, fit_scales, fit_shifted, settle, round};

}  // namespace pare
