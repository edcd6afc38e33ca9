#include "kernels/scale_search/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const ScaleSearchKernel scale_search_avx2;
const ScaleSearchKernel scale_search_avx2{"scale_search_avx2", "avx2", supported, search, round};

}  // namespace pare
