#include "kernels/float_few_outputs/float_few_outputs.h"

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE FewOutputsKernel
#define PARE_KERNELS few_outputs_kernels
#define PARE_KERNEL_ROWS "kernels/float_few_outputs/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FewOutputsKernel& best_few_outputs_kernel() { return choose_kernel(few_outputs_kernels()); }

std::vector<float> pack_few_outputs(const FewOutputsKernel& kernel, const float* w, int64_t outputs, int64_t channels, int64_t taps) {
  const int64_t lanes = kernel.lanes, blocks = (channels + lanes - 1) / lanes;
  std::vector<float> packed(size_t(taps * blocks * outputs * lanes), 0.f);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < taps; ++t)
        packed[size_t(((c / lanes * taps + t) * outputs + o) * lanes + c % lanes)] = w[(o * channels + c) * taps + t];
  return packed;
}

}  // namespace pare
