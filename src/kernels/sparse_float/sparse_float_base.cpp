#include "kernels/cpu.h"
#include "kernels/sparse_float/loops.h"

namespace pare {

extern const SparseFloatKernel sparse_float_base;
const SparseFloatKernel sparse_float_base{"sparse_float_scalar", "scalar", runs_anywhere, kVectors, kVectors4, run_layer, dot_groups, close_ring, join_ring, enter_lanes, transpose_floats};

}  // namespace pare
