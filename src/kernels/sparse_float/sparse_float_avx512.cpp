#include "kernels/sparse_float/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const SparseFloatKernel sparse_float_avx512;
const SparseFloatKernel sparse_float_avx512{"sparse_float_avx512", "avx512", supported, kVectors, kVectors4, run_layer, dot_groups, close_ring, join_ring, enter_lanes, transpose_floats};

}  // namespace pare
