#include "passes/statistics/value_source.h"

#include <algorithm>

namespace pare {

ValueSource::ValueSource(const Graph& graph, const std::vector<ValueId>& values, const SessionOptions& options)
    : part_(graph) {
  part_.outputs.clear();
  for (ValueId value : values) {
    const auto input = std::find(graph.inputs.begin(), graph.inputs.end(), value);
    inputs_.push_back(input == graph.inputs.end() ? -1 : int(input - graph.inputs.begin()));
    if (inputs_.back() < 0) part_.outputs.push_back(value);
  }
  part_.remove_unused();
  if (!part_.outputs.empty()) sessions_.emplace(part_, options, 1);
}

std::vector<Array> ValueSource::of(const std::vector<Array>& sample) {
  const std::vector<Array> computed = sessions_ ? sessions_->of(sample).run(sample) : std::vector<Array>();
  std::vector<Array> values;
  size_t next = 0;
  for (int input : inputs_) values.push_back(input >= 0 ? sample[size_t(input)] : computed[next++]);
  return values;
}

}  // namespace pare
