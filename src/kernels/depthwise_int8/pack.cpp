#include "kernels/depthwise_int8/pack.h"

namespace pare {

PackedDepthwiseInt8 start_depthwise_int8_pack(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& source,
                                              int lanes) {
  PackedDepthwiseInt8 packed;
  packed.shape = shape;
  packed.input_signed = source.input_signed;
  packed.input_zero = source.input_zero + (source.input_signed ? 128 : 0);
  packed.padded_channels = (shape.channels + lanes - 1) / lanes * lanes;
  packed.bias.assign(packed.padded_channels, 0);
  const int taps = shape.kernel_h * shape.kernel_w;
  for (int c = 0; c < shape.channels; ++c) {
    std::int32_t sum = 0;
    for (int tap = 0; tap < taps; ++tap) sum += source.weights[c * taps + tap];
    packed.bias[c] = (source.bias ? source.bias[c] : 0) - packed.input_zero * sum;
  }
  return packed;
}

}  // namespace pare
