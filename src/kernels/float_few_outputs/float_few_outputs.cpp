#include "kernels/float_few_outputs/float_few_outputs.h"

#include <cstring>

#include "base/float16.h"
#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE FewOutputsKernel
#define PARE_KERNELS few_outputs_kernels
#define PARE_KERNEL_ROWS "kernels/float_few_outputs/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

const FewOutputsKernel* best_few_outputs_kernel(int bits) { return find_kernel_of(few_outputs_kernels(), bits); }

std::vector<std::byte> pack_few_outputs(const FewOutputsKernel& kernel, const float* w, int64_t outputs, int64_t channels, int64_t taps) {
  const int64_t lanes = kernel.lanes, blocks = (channels + lanes - 1) / lanes, bytes = kernel.bits / 8;
  std::vector<std::byte> packed(size_t(taps * blocks * outputs * kernel.together * lanes * bytes));
  const auto put = [&](int64_t at, float value) {
    const BFloat16 brain = to_bfloat16(value);
    std::memcpy(packed.data() + at * bytes, bytes == 2 ? static_cast<const void*>(&brain.bits) : &value, size_t(bytes));
  };
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t copy = 0; copy < kernel.together; ++copy)
          put((((c / lanes * taps + t) * outputs + o) * kernel.together + copy) * lanes + c % lanes, w[(o * channels + c) * taps + t]);
  return packed;
}

}  // namespace pare
