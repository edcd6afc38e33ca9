#include "kernels/scale_search/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const ScaleSearchKernel scale_search_base;
const ScaleSearchKernel scale_search_base{"scale_search_scalar", "scalar", supported, search, round};

}  // namespace pare
