#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/row.h"

namespace pare {

// A row's quality beside the baseline's.
enum class Verdict {
  unmeasured,  // one of the two has no comparable metric
  same,        // the paired 95 % interval includes no change
  better,
  small_loss,  // a loss, but at most what metric_style allows
  loss,
};
Verdict judge_quality(const Table& table, size_t row);

struct Choice {
  std::optional<size_t> row;       // what to use; none: keep the baseline
  std::optional<size_t> smallest;  // the smallest safe row where it is another one
  std::vector<std::string> lines;  // the decision first
};
Choice choose_row(const Table& table, const std::vector<std::string>& names);

}  // namespace pare
