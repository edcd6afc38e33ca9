#pragma once
// Linear layers in floats: a fully connected layer, or a 1x1 convolution whose pixels are the rows.
//   y[row, column] = last(first(Σ x[row, k] · w[k, column] + bias[column]) + residual[row, column])

#include <cstdint>
#include <span>

namespace pare {

// A function of a float; errors of the vector forms are a few units in the last place.
//   limits    min(max(x, low), high): none, ReLU and ReLU6
//   sigmoid   1 / (1 + e^-x)
//   swish     x / (1 + e^(-low · x)); error below 2e-7 of |x| and 4e-6 in all where it vanishes (low · x below -16); where
//             the result has 16 bits its error may be 2e-6 of |x|
//   gelu      x Φ(x), error below 1e-6 of |x|
//   leaky     x above 0, else low · x
struct FloatFunction {
  enum Kind { limits, sigmoid, swish, gelu, leaky };
  Kind kind = limits;
  float low = -__builtin_inff(), high = __builtin_inff();
  bool none() const { return kind == limits && low == -__builtin_inff() && high == __builtin_inff(); }
};

// How weights lie in memory.
enum class FloatWeights : uint8_t { f32, bf16, f16 };

// Values of 16 bits are bfloat16; residual and y are of one type, bias is float.
struct FloatLinear {
  const void* x = nullptr;
  // Element k of a row lies at x + row · x_row + (k / x_inner) · x_block + k % x_inner: channels in blocks, or (x_inner =
  // inner) side by side.
  int64_t x_row = 0, x_inner = 0, x_block = 0;
  const void* weights = nullptr;     // as pack() leaves them
  const float* bias = nullptr;       // [whole vectors of columns]; null: zeros
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
  int bits;    // of x and y: 32 or 16
  FloatWeights weights;
  // Every thread its share. With `columns` parted a thread reads only its part of the weights.
  void (*run)(const FloatLinear& job, int thread, int threads);
};

// A matrix to be packed: element (k, column) is from[k · inner_stride + column · column_stride], wherever `from` lies.
struct FloatMatrix {
  const void* from = nullptr;
  int64_t inner_stride = 1, column_stride = 1, inner = 0, columns = 0;
  FloatWeights type = FloatWeights::f32;
};
// Weights for a kernel, rounded where they must be: panels of two vectors of columns (the last has one or three), in
// each k by k. `to` has float_linear_bytes(), 64-byte aligned.
void pack_float_linear(const FloatLinearKernel& kernel, const FloatMatrix& matrix, void* to);
// The same for panels [first, last) of all, which others may pack meanwhile.
void pack_float_linear(const FloatLinearKernel& kernel, const FloatMatrix& matrix, int64_t first, int64_t last,
                       void* to);
int64_t float_linear_panels(const FloatLinearKernel& kernel, int64_t columns);
int64_t float_linear_bytes(const FloatLinearKernel& kernel, int64_t inner, int64_t columns);

// Every kernel compiled in, best first of each kind; only those with supported() may be run.
std::span<const FloatLinearKernel> float_linear_kernels();
const FloatLinearKernel* best_float_linear_kernel(int bits, FloatWeights weights);  // null: none

}  // namespace pare
