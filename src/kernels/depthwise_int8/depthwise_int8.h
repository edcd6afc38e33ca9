#pragma once
// Depthwise 2-D convolution (one s8 filter per channel, multiplier 1) of u8 or s8 activations, NHWC.
// Used like conv_int8: pack once per layer, then run() by every thread.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/int8_epilogue/int8_epilogue.h"

namespace pare {

struct DepthwiseInt8Shape {
  int batch = 1;
  int in_h = 1, in_w = 1, channels = 1;
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  int out_h() const { return (in_h + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1; }
  int out_w() const { return (in_w + pad_left + pad_right - dilation_w * (kernel_w - 1) - 1) / stride_w + 1; }
  bool operator==(const DepthwiseInt8Shape&) const = default;
};

struct PackedDepthwiseInt8 {
  DepthwiseInt8Shape shape;
  bool input_signed = false;
  int input_zero = 0;              // as the kernel sees it, see PackedConvInt8
  int padded_channels = 0;         // channels in whole vectors
  std::vector<Int8Line> weights;   // layout of the kernel, see depthwise_int8/pack.cpp
  std::vector<std::int32_t> bias;  // [padded_channels]
  std::size_t scratch_bytes = 0;   // per thread
};

struct DepthwiseInt8Args {
  const void* input = nullptr;  // [batch][in_h][in_w][channels]
  void* output = nullptr;       // [batch][out_h][out_w][channels]
  void* scratch = nullptr;      // packed.scratch_bytes for this thread, 64-byte aligned; null if 0
  Int8Epilogue epilogue;
};

// Elements from one output pixel to the next.
inline std::size_t depthwise_int8_pitch(const DepthwiseInt8Shape& shape, const Int8Epilogue& epilogue) {
  return epilogue.pitch > 0 ? std::size_t(epilogue.pitch) : std::size_t(shape.channels);
}

struct DepthwiseInt8Weights {
  const std::int8_t* weights = nullptr;  // [channels][kernel_h][kernel_w]
  const std::int32_t* bias = nullptr;    // [channels] in units of input scale x weight scale, or null
  bool input_signed = false;
  int input_zero = 0;  // in the input's own type
};

struct DepthwiseInt8Kernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  PackedDepthwiseInt8 (*pack)(const DepthwiseInt8Shape& shape, const DepthwiseInt8Weights& weights);
  void (*run)(const PackedDepthwiseInt8& packed, const DepthwiseInt8Args& args, int thread, int threads);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const DepthwiseInt8Kernel> depthwise_int8_kernels();

}  // namespace pare
