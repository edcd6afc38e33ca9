#pragma once
// What layers without functions of their own take along: a sum and bounds.
#include <limits>
#include <string>
#include <vector>

#include "engine/plan.h"

namespace pare {

// The sum and the bounds behind a layer that the layer applies itself.
struct Clipped {
  std::vector<int> nodes;
  ValueId result = kNone, residual = kNone;
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  std::string text;  // "+Add+Relu"
};
Clipped clip_behind(const Planner& planner, ValueId value, bool allow_residual);

}  // namespace pare
