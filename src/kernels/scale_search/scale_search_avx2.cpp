#include "kernels/cpu.h"
#include "kernels/scale_search/loops.h"

namespace pare {

extern const ScaleSearchKernel scale_search_avx2;
const ScaleSearchKernel scale_search_avx2{"scale_search_avx2", "avx2", runs_avx2, lay_side_by_side, extremes, fit_scales, fit_shifted, settle, round};

}  // namespace pare
