#pragma once
#include <vector>

#include "base/random.h"

namespace pare {

inline std::vector<float> numbers(int64_t n, Random& random) {
  std::vector<float> values(size_t(n), 0.f);
  for (float& v : values) v = float(random.normal());
  return values;
}

}  // namespace pare
