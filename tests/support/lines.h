#pragma once
// A single line for kernels that fit several side by side.
#include <array>
#include <utility>
#include <vector>

#include "codecs/line_fit.h"

namespace pare::testing {

// Step and shift; every value counts alike.
inline std::pair<float, float> fit_one_line(const LevelRange& range, const std::vector<float>& values, Shift shift, ScaleSearch search) {
  std::vector<std::array<float, kLines>> lines(values.size());
  auto* side_by_side = reinterpret_cast<PerLine*>(lines.data());
  best_scale_search_kernel().lay_side_by_side(values.data(), 0, 1, int64_t(values.size()), side_by_side);
  const FittedLines fitted = fit_lines({range, side_by_side, nullptr, int64_t(values.size())}, shift, search);
  return {fitted.step[0], fitted.shift[0]};
}

}  // namespace pare::testing
