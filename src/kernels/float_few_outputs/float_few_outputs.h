#pragma once
// Convolutions in floats with few outputs, the colours of a picture: registers hold channels of the input, where layers of many
// outputs hold outputs, of which most of a register would stand empty.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace pare {

// y[o][row][column] = min(max(bias[o] + Σ over ky, kx, c of w[o][c][ky][kx] · x[c][row·stride − pad + ky·dilation][…], low), high)
struct FewOutputs {
  // Channels lie in vectors of the kernel's lanes, the last one filled up with zeros: channels c … c + lanes of pixel (row, column)
  // at x + c / lanes · x_block + row · x_row + column · x_pixel, in elements.
  const void* x = nullptr;
  int64_t x_block = 0, x_row = 0, x_pixel = 0;
  int64_t blocks = 0, height = 0, width = 0;
  const void* weights = nullptr;   // as pack_few_outputs() makes them
  const float* bias = nullptr;     // [outputs]
  float* y = nullptr;              // [outputs][out_height][out_width]
  int64_t outputs = 0, out_height = 0, out_width = 0;  // 1 … kMostFewOutputs
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0};  // height, width; pads in front
  float low = -__builtin_inff(), high = __builtin_inff();
};
constexpr int64_t kMostFewOutputs = 4;

struct FewOutputsKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  int lanes;
  int bits;      // of an element of x and the weights: 32 (float), 16 (bfloat16); bias, sums and y are floats
  int together;  // places of the result in a register; where that is above 1, x_pixel is `lanes` and stride[1] 1
  // Places [first, last) of one row of the result.
  void (*run)(const FewOutputs& job, int64_t row, int64_t first, int64_t last);
};

// `w` [outputs][channels][kernel height][kernel width] as [block][ky][kx][output][together][lanes], the same for all that are together.
std::vector<std::byte> pack_few_outputs(const FewOutputsKernel& kernel, const float* w, int64_t outputs, int64_t channels, int64_t taps);

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const FewOutputsKernel> few_outputs_kernels();
const FewOutputsKernel* best_few_outputs_kernel(int bits);  // null: none runs here

}  // namespace pare
