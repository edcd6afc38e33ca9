#pragma once
// Scales of weights in few bits: which of several leaves the least error, and the levels under one.
// Every instruction set gives the same bits.
#include <cstdint>
#include <span>

namespace pare {

// What weights are rounded to: every whole number from `least` to `most`, or the 16 ascending entries of `table`.
struct ScaleLevels {
  float least = 0, most = 0;
  const int8_t* table = nullptr;
};

// For each trial t: levels l nearest to values[i] / steps[t] (the lower of two as near in a table, the even one of two whole numbers),
// the step that fits these best by least squares, and Σ weights[i]·(values[i] − step·l)² then.
struct ScaleTrials {
  ScaleLevels levels;
  const float *values = nullptr, *weights = nullptr;
  int64_t count = 0;
  const float* steps = nullptr;  // each with a finite reciprocal
  int64_t trials = 0;            // a multiple of 16
};
struct SettledScale {
  float step = 0, error = __builtin_inff();  // infinite where no trial's error is a number
};

struct ScaleSearchKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  // The trial of least error, the first of several.
  SettledScale (*search)(const ScaleTrials& trials);
  // levels[i] = the level nearest to (values[i] + shift)·inverse.
  void (*round)(const ScaleLevels& levels, const float* values, int64_t count, float inverse, float shift, int8_t* to);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const ScaleSearchKernel> scale_search_kernels();
const ScaleSearchKernel& best_scale_search_kernel();

}  // namespace pare
