#include "kernels/elementwise_int8/elementwise_int8.h"

#include <algorithm>

namespace pare {

#define PARE_ELEMENTWISE_INT8(row) extern const ElementwiseInt8Kernel row;
#include "kernels/elementwise_int8/kernels.inc"
#undef PARE_ELEMENTWISE_INT8

std::span<const ElementwiseInt8Kernel> elementwise_int8_kernels() {
  static const ElementwiseInt8Kernel rows[] = {
#define PARE_ELEMENTWISE_INT8(row) row,
#include "kernels/elementwise_int8/kernels.inc"
#undef PARE_ELEMENTWISE_INT8
  };
  return rows;
}

const ElementwiseInt8Kernel& best_elementwise_int8_kernel() {
  const auto rows = elementwise_int8_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const ElementwiseInt8Kernel& row) { return row.supported(); });
}

}  // namespace pare
