#pragma once
#include <optional>
#include <vector>

#include "engine/front.h"

namespace pare {

// The values of a graph for one sample after the other, computing no more than they need.
class ValueSource {
 public:
  ValueSource(const Graph& graph, const std::vector<ValueId>& values, const SessionOptions& options);
  // In the order of `values`.
  std::vector<Array> of(const std::vector<Array>& sample);

 private:
  Graph part_;
  std::vector<int> inputs_;  // a value that is an input of the graph: which; -1: it is computed
  std::optional<Sessions> sessions_;
};

}  // namespace pare
