#pragma once
// The running mean of all that training changes: between noisy steps it lies nearer to the minimum than any of them.
#include <ATen/ATen.h>

#include <vector>

namespace pare {

// Exponential moving average of the states behind each step (Polyak & Juditsky 1992; the rising start of the decay: TensorFlow's
// ExponentialMovingAverage with num_updates).
struct Average {
  std::vector<at::Tensor> values;  // as Parameters::state; empty: no average is kept
  int64_t steps = 0;               // that it has seen

  bool kept() const { return !values.empty(); }
  void start(const std::vector<at::Tensor>& state);
  // Moves towards `now` by 1 − min(decay, (1 + steps) / (10 + steps)): the first steps, far from the last ones, are soon forgotten.
  void follow(const std::vector<at::Tensor>& now, double decay);
};

}  // namespace pare
