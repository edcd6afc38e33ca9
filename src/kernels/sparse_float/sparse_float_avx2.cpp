#include "kernels/sparse_float/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const SparseFloatKernel sparse_float_avx2;
const SparseFloatKernel sparse_float_avx2{"sparse_float_avx2", "avx2", supported, kVectors, kVectors4, run_layer, dot_groups, close_ring, join_ring, enter_lanes, transpose_floats};

}  // namespace pare
