#include "kernels/cpu.h"
#include "kernels/sparse_float/loops.h"

namespace pare {

extern const SparseFloatKernel sparse_float_avx2;
const SparseFloatKernel sparse_float_avx2{"sparse_float_avx2", "avx2", runs_avx2, kVectors, kVectors4, run_layer, dot_groups, close_ring, join_ring, enter_lanes, transpose_floats};

}  // namespace pare
