#pragma once
#include <string>

#include "passes/pass.h"

namespace pare {

// What assign-bits does with a list of types: a type for each weight so that all take no more than a budget, by what rounding
// costs at the output.
struct AssignTypes {
  std::string types;      // names separated by '|', from the smallest
  double bits = 0;        // budget, averaged over all weights that are stored
  double samples = 1;
  std::string exclude;
  bool feedback = false;  // quantize-columns rounds behind
};
void assign_types(Graph& graph, const AssignTypes& options, PassRun& pass);

}  // namespace pare
