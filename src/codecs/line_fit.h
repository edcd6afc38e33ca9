#pragma once
#include <cstdint>
#include <span>

#include "kernels/scale_search/scale_search.h"

namespace pare {

// value ≈ step·level − shift.
enum class Shift { none, downward, any };   // downward: shift ≥ 0, so that 0 stays within reach

// How scales are chosen.
enum class ScaleSearch {
  plain,           // from the largest value, or the least and the largest: what other tools do without data
  least_squares,   // of scales around it the one of least weighted error, settled by least squares
  half_quadratic,  // few large errors rather than many small ones count less: Badri & Shaji 2023, HQQ
};

int nearest_level(const LevelRange& range, float level);
void round_levels(const LevelRange& range, std::span<const float> values, float step, float shift, int8_t* levels);

// Steps of 0 where all values are. plain and half_quadratic do without weights.
FittedLines fit_lines(const LineSet& lines, Shift shift, ScaleSearch search);

}  // namespace pare
