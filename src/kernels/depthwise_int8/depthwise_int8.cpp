#include "kernels/depthwise_int8/depthwise_int8.h"

#include <algorithm>

namespace pare {

#define PARE_DEPTHWISE_INT8(row) extern const DepthwiseInt8Kernel row;
#include "kernels/depthwise_int8/kernels.inc"
#undef PARE_DEPTHWISE_INT8

std::span<const DepthwiseInt8Kernel> depthwise_int8_kernels() {
  static const DepthwiseInt8Kernel rows[] = {
#define PARE_DEPTHWISE_INT8(row) row,
#include "kernels/depthwise_int8/kernels.inc"
#undef PARE_DEPTHWISE_INT8
  };
  return rows;
}

const DepthwiseInt8Kernel& best_depthwise_int8_kernel() {
  const auto rows = depthwise_int8_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const DepthwiseInt8Kernel& row) { return row.supported(); });
}

}  // namespace pare
