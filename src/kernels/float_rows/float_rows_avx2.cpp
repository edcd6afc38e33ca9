#include "kernels/cpu.h"
#include "kernels/float_rows/loops.h"

namespace pare {

extern const FloatRowsKernel float_rows_avx2;
const FloatRowsKernel float_rows_avx2{"float_rows_avx2", "avx2", runs_avx2, softmax_row, softmax_columns, norm_row, sum_row, accumulate_row, gate_row};

}  // namespace pare
