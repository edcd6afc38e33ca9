#include "kernels/cpu.h"
#include "kernels/scale_search/loops.h"

namespace pare {

extern const ScaleSearchKernel scale_search_avx512;
const ScaleSearchKernel scale_search_avx512{"scale_search_avx512", "avx512", runs_avx512, lay_side_by_side, extremes, fit_scales, fit_shifted, settle, round};

}  // namespace pare
