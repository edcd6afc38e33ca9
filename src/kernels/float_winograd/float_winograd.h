#pragma once
// 3x3 convolutions in floats by fewer multiplications (Lavin & Gray 2016, Fast Algorithms for Convolutional Neural Networks): squares
// of pixels and weights are taken to points of polynomials, multiplied there channel by channel as matrices, and brought back.
// F(2x2, 3x3) multiplies 2.25 times less often than the definition, F(4x4, 3x3) 4 times; errors are about 1e-6 and 1e-5 of the largest value.
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/float_linear/float_linear.h"

namespace pare {

// y[o][row][column] = last(first(bias[o] + Σ over ky, kx, c of w[o][c][ky][kx] · x[c][row − pad + ky][column − pad + kx]) + residual[o][row][column])
struct Winograd {
  // Channels lie in vectors of the kernel's lanes: channels c … c + lanes of pixel (row, column) at
  // x + c / lanes · x_block + row · x_row + column · x_pixel, in floats; those of y and residual alike.
  const float* x = nullptr;
  int64_t x_block = 0, x_row = 0, x_pixel = 0;
  int64_t height = 0, width = 0, in_blocks = 0;
  float* y = nullptr;
  const float* residual = nullptr;  // or null; may be y
  int64_t y_block = 0, y_row = 0, y_pixel = 0;
  int64_t out_height = 0, out_width = 0, outputs = 0;
  const float* bias = nullptr;      // [outputs], filled up to whole vectors
  int64_t pad[2] = {1, 1};          // in front: height, width
  FloatFunction first, last;
};

struct WinogradKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  int lanes;
  int tile;  // outputs of a square along an axis: 2 or 4; its points are (tile + 2)²
  // Squares [first, first + count) of the result, row by row: `values` of point p, block of channels b and square t at
  // p · stride + (b · count + t) · lanes.
  void (*spread)(const Winograd& job, int64_t first, int64_t count, float* values, int64_t stride);
  // The reverse for products: writes y. Outputs behind the last one become zeros.
  void (*gather)(const Winograd& job, int64_t first, int64_t count, const float* products, int64_t stride);
};

inline int64_t winograd_points(const WinogradKernel& kernel) { return (kernel.tile + 2) * (kernel.tile + 2); }
inline int64_t winograd_tiles(const WinogradKernel& kernel, int64_t out_height, int64_t out_width) {
  return ((out_height + kernel.tile - 1) / kernel.tile) * ((out_width + kernel.tile - 1) / kernel.tile);
}

// `w` [outputs][inputs][3][3] at the points: [point][input][output].
std::vector<float> winograd_weights(const WinogradKernel& kernel, const float* w, int64_t outputs, int64_t inputs);

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const WinogradKernel> winograd_kernels();
// The best of each tile that runs here, the larger tile first.
std::vector<const WinogradKernel*> best_winograd_kernels();

}  // namespace pare
