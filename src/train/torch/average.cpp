#include "train/torch/average.h"

#include <algorithm>

#include "base/error.h"
#include "train/torch/arrays.h"

namespace pare {

void Average::start(const std::vector<at::Tensor>& state) {
  values = cloned(state);
  steps = 0;
}

void Average::follow(const std::vector<at::Tensor>& now, double decay) {
  PARE_CHECK(now.size() == values.size());
  const at::NoGradGuard guard;
  const double kept = std::min(decay, double(1 + steps) / double(10 + steps));
  for (size_t i = 0; i < values.size(); ++i) values[i].lerp_(now[i], 1 - kept);
  ++steps;
}

}  // namespace pare
