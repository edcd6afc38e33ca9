#include "kernels/scale_search/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const ScaleSearchKernel scale_search_avx512;
const ScaleSearchKernel scale_search_avx512{"scale_search_avx512", "avx512", supported, search, round};

}  // namespace pare
