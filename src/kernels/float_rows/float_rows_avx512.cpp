#include "kernels/float_rows/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const FloatRowsKernel float_rows_avx512;
const FloatRowsKernel float_rows_avx512{"float_rows_avx512", "avx512", supported, softmax_row, softmax_columns, norm_row, sum_row, accumulate_row, gate_row};

}  // namespace pare
