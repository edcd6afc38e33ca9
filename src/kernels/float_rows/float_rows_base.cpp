#include "kernels/cpu.h"
#include "kernels/float_rows/loops.h"

namespace pare {

extern const FloatRowsKernel float_rows_base;
const FloatRowsKernel float_rows_base{"float_rows_scalar", "scalar", runs_anywhere, softmax_row, softmax_columns, norm_row, sum_row, accumulate_row, gate_row};

}  // namespace pare
