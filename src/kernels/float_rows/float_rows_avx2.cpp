#include "kernels/float_rows/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const FloatRowsKernel float_rows_avx2;
const FloatRowsKernel float_rows_avx2{"float_rows_avx2", "avx2", supported, softmax_row, softmax_columns, norm_row, sum_row, accumulate_row, gate_row};

}  // namespace pare
