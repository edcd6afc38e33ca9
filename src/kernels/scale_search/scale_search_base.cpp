#include "kernels/cpu.h"
#include "kernels/scale_search/loops.h"

namespace pare {

extern const ScaleSearchKernel scale_search_base;
const ScaleSearchKernel scale_search_base{"scale_search_scalar", "scalar", runs_anywhere, search, round};

}  // namespace pare
