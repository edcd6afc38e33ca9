#include "kernels/float_depthwise/float_depthwise.h"

#define PARE_KERNEL_TYPE FloatDepthwiseKernel
#define PARE_KERNELS float_depthwise_kernels
#define PARE_KERNEL_ROWS "kernels/float_depthwise/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

std::vector<float> pack_depthwise(const FloatDepthwiseKernel& kernel, const float* w, int64_t channels, int64_t taps) {
  const int64_t lanes = kernel.lanes, blocks = (channels + lanes - 1) / lanes;
  std::vector<float> packed(size_t(blocks * taps * lanes), 0.f);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < taps; ++t) packed[size_t((c / lanes * taps + t) * lanes + c % lanes)] = w[c * taps + t];
  return packed;
}

}  // namespace pare
