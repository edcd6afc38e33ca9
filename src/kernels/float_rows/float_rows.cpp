#include "kernels/float_rows/float_rows.h"

#include <algorithm>

namespace pare {

#define PARE_FLOAT_ROWS(row) extern const FloatRowsKernel row;
#include "kernels/float_rows/kernels.inc"
#undef PARE_FLOAT_ROWS

std::span<const FloatRowsKernel> float_rows_kernels() {
  static const FloatRowsKernel rows[] = {
#define PARE_FLOAT_ROWS(row) row,
#include "kernels/float_rows/kernels.inc"
#undef PARE_FLOAT_ROWS
  };
  return rows;
}

const FloatRowsKernel& best_float_rows_kernel() {
  const auto rows = float_rows_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const FloatRowsKernel& row) { return row.supported(); });
}

}  // namespace pare
