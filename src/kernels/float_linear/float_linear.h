#pragma once
// Linear layers in floats: a fully connected layer, or a 1x1 convolution whose pixels are the rows.
//   y[row, column] = last(first(Σ x[row, k] · w[k, column] + bias[column]) + residual[row, column])

#include <cstdint>
#include <span>

namespace pare {

// A function of a float; errors of the vector forms are a few units in the last place.
//   limits    min(max(x, low), high): none, ReLU and ReLU6
//   sigmoid   1 / (1 + e^-x)
//   swish     x / (1 + e^(-low · x)); where the result has 16 bits its error may be 5e-6 of |x|
//   gelu      x Φ(x), error below 1e-6 of |x|
struct FloatFunction {
  enum Kind { limits, sigmoid, swish, gelu };
  Kind kind = limits;
  float low = -__builtin_inff(), high = __builtin_inff();
  bool none() const { return kind == limits && low == -__builtin_inff() && high == __builtin_inff(); }
};

// Values of 16 bits are bfloat16. x and w are of one type, residual and y too; bias is float.
struct FloatLinear {
  const void* x = nullptr;
  // Element k of a row lies at x + row · x_row + (k / x_inner) · x_block + k % x_inner: channels in blocks, or (x_inner =
  // inner) side by side.
  int64_t x_row = 0, x_inner = 0, x_block = 0;
  const void* weights = nullptr;     // as pack() leaves them
  const float* bias = nullptr;       // [whole vectors of columns]
  // Columns in vectors: vector v of a row at y + row · y_row + v · y_block. The last one is filled up with zeros where
  // `whole`, else what lies behind the columns is left alone.
  void* y = nullptr;
  const void* residual = nullptr;    // as y, or null; may be y
  int64_t y_row = 0, y_block = 0;
  bool whole = false;
  bool wide = false;                 // y and residual are float, whatever x is
  int64_t rows = 0, inner = 0, columns = 0;
  FloatFunction first, last;
};

struct FloatLinearKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  int lanes;   // columns of a vector
  int step;    // elements of a row multiplied at once: inner must be a multiple, and so must x_inner
  int bits;    // of x, w and y: 32 or 16
  // Every thread its share. With `columns` parted a thread reads only its part of the weights.
  void (*run)(const FloatLinear& job, int thread, int threads);
};

// Weights for a kernel: panels of two vectors of columns (the last has one or three), in each k by k. `element(k, column)`
// of a float matrix is from[k · inner_stride + column · column_stride]. `to` has float_linear_bytes(), 64-byte aligned.
void pack_float_linear(const FloatLinearKernel& kernel, const float* from, int64_t inner_stride, int64_t column_stride, int64_t inner, int64_t columns, void* to);
int64_t float_linear_bytes(const FloatLinearKernel& kernel, int64_t inner, int64_t columns);

// Every kernel compiled in, best first of each width; only those with supported() may be run.
std::span<const FloatLinearKernel> float_linear_kernels();
const FloatLinearKernel* best_float_linear_kernel(int bits);  // null: none

}  // namespace pare
