#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace pare {

struct SamplingOptions {
  double temperature = 0;   // 0: the most probable token
  int64_t top_k = 0;        // only so many of the most probable; 0: all
  double top_p = 1;         // only the most probable whose sum reaches it (Holtzman et al. 2020)
  uint64_t seed = 1;
};

// The next token by its scores; the same for the same seed and scores.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {}
  int64_t choose(std::span<const float> scores);

 private:
  SamplingOptions options_;
  Random random_;
};

}  // namespace pare
