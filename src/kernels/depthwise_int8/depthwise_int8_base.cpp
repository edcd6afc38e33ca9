// Plain C++: the reference the vector kernels are compared with, and the only one in the `scalar` build.

#include <cstring>

#include "kernels/depthwise_int8/pack.h"
#include "kernels/int8_epilogue/int8_epilogue_base.h"

namespace pare {
namespace {

PackedDepthwiseInt8 pack(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& source) {
  PackedDepthwiseInt8 packed = start_depthwise_int8_pack(shape, source, 1);
  const std::size_t bytes = std::size_t(shape.kernel_h) * shape.kernel_w * shape.channels;
  packed.weights.resize(bytes / sizeof(Int8Line) + 1);
  std::memcpy(packed.weights.data(), source.weights, bytes);
  return packed;
}

// One output row; weights are [channel][tap] as given.
void run_row(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args, int image, int oh) {
  const DepthwiseInt8Shape& s = packed.shape;
  const int flip = packed.input_signed ? 0x80 : 0;
  const std::uint8_t* input =
      static_cast<const std::uint8_t*>(args.input) + std::size_t(image) * s.in_h * s.in_w * s.channels;
  const std::int8_t* weights = reinterpret_cast<const std::int8_t*>(packed.weights.data());
  const std::size_t first = (std::size_t(image) * s.out_h() + oh) * s.out_w(), pitch = depthwise_int8_pitch(s, args.epilogue);
  for (int ow = 0; ow < s.out_w(); ++ow) {
    for (int c = 0; c < s.channels; ++c) {
      std::int32_t sum = packed.bias[c];
      for (int kh = 0; kh < s.kernel_h; ++kh) {
        for (int kw = 0; kw < s.kernel_w; ++kw) {
          const int ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
          const int iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
          const bool inside = ih >= 0 && ih < s.in_h && iw >= 0 && iw < s.in_w;
          const int x = inside ? input[(std::size_t(ih) * s.in_w + iw) * s.channels + c] ^ flip : packed.input_zero;
          sum += x * weights[(c * s.kernel_h + kh) * s.kernel_w + kw];
        }
      }
      store_int8_sum(args.epilogue, args.output, (first + ow) * pitch + c, sum, args.epilogue.multiplier[c]);
    }
  }
}

void run(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args, int thread, int threads) {
  const int out_h = packed.shape.out_h();
  const std::int64_t rows = std::int64_t{packed.shape.batch} * out_h;
  for (std::int64_t row = rows * thread / threads; row < rows * (thread + 1) / threads; ++row) {
    run_row(packed, args, static_cast<int>(row / out_h), static_cast<int>(row % out_h));
  }
}

bool always() {
  return true;
}

}  // namespace

extern const DepthwiseInt8Kernel depthwise_int8_base;
const DepthwiseInt8Kernel depthwise_int8_base = {"depthwise_int8_base", "scalar", always, pack, run};

}  // namespace pare
