#pragma once
// Depthwise convolutions in floats: every channel is an output by itself.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/float_linear/float_linear.h"

namespace pare {

// y[c][row][column] = last(first(bias[c] + Σ over ky, kx of w[c][ky][kx] · x[c][row·stride − pad + ky·dilation][…]) + residual[c][row][column])
struct FloatDepthwise {
  // Channels lie in vectors of the kernel's lanes: channels c … c + lanes of pixel (row, column) at
  // x + c / lanes · x_block + row · x_row + column · x_pixel, in floats; those of y and residual alike.
  const float* x = nullptr;
  int64_t x_block = 0, x_row = 0, x_pixel = 0;
  int64_t height = 0, width = 0;
  float* y = nullptr;
  const float* residual = nullptr;  // or null; may be y
  int64_t y_block = 0, y_row = 0, y_pixel = 0;
  int64_t out_height = 0, out_width = 0, channels = 0;
  const float* weights = nullptr;   // as pack_depthwise() makes them
  const float* bias = nullptr;      // [channels], filled up to whole vectors
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0};  // height, width; pads in front
  FloatFunction first, last;
};

struct FloatDepthwiseKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  int lanes;
  // One row of the result, all channels. Lanes behind the last channel become zeros.
  void (*run)(const FloatDepthwise& job, int64_t row);
};

// `w` [channels][taps] as [block][tap][lanes].
std::vector<float> pack_depthwise(const FloatDepthwiseKernel& kernel, const float* w, int64_t channels, int64_t taps);

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const FloatDepthwiseKernel> float_depthwise_kernels();

}  // namespace pare
