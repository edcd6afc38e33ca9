#include "kernels/cpu.h"
#include "kernels/float_rows/loops.h"

namespace pare {

extern const FloatRowsKernel float_rows_avx512;
const FloatRowsKernel float_rows_avx512{"float_rows_avx512", "avx512", runs_avx512, softmax_row, softmax_columns, norm_row, sum_row, accumulate_row, gate_row};

}  // namespace pare
