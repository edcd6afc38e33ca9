#include "kernels/cpu.h"
#include "kernels/sparse_float/loops.h"

namespace pare {

extern const SparseFloatKernel sparse_float_avx512;
const SparseFloatKernel sparse_float_avx512{"sparse_float_avx512", "avx512", runs_avx512, kVectors, kVectors4, run_layer, dot_groups, close_ring, join_ring, enter_lanes, transpose_floats};

}  // namespace pare
