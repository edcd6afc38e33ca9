#pragma once
// Functions of one row of floats that normalization and attention are made of. Sums run in 32 lanes, whatever the
// instruction set; results agree between them within rounding.

#include <cstdint>
#include <span>

namespace pare {

struct FloatRowsKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  // y = exp(x·scale + mask − max) / sum, over n; mask may be null. y may be x. A row of −∞ alone gives NaN, as in ONNX.
  void (*softmax)(const float* x, const float* mask, float scale, float* y, int64_t n);
  // Softmax down each of n columns side by side: `length` elements, `pitch` floats apart. y may be x.
  void (*softmax_columns)(const float* x, float* y, int64_t length, int64_t pitch, int64_t n);
  // y = (x − mean)/√(mean((x − mean)²) + epsilon)·gamma + beta; beta may be null, y may be x. Not `centred`: mean is taken as 0.
  void (*norm)(const float* x, const float* gamma, const float* beta, float epsilon, bool centred, float* y, int64_t n);
  // y = Σ x over n.
  float (*sum)(const float* x, int64_t n);
  // y[i] = (first ? 0 : y[i]) + x[i]·factor over n.
  void (*accumulate)(const float* x, float factor, bool first, float* y, int64_t n);
  // y = x·sigmoid(x)·by over n: gated linear units with SiLU (Shazeer 2020).
  void (*gate)(const float* x, const float* by, float* y, int64_t n);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const FloatRowsKernel> float_rows_kernels();
const FloatRowsKernel& best_float_rows_kernel();

}  // namespace pare
