#pragma once
#include <cstdint>
#include <limits>
#include <span>

namespace pare {

// The levels that weights are rounded to: every whole number from least to most, or the 16 ascending entries of a table.
struct LevelRange {
  int least, most;
  const int8_t* table = nullptr;
  bool positive = false;       // steps must be: ONNX has no other scales
};

// Weights that share scales: value ≈ step·level − shift.
struct Line {
  float step = 0, shift = 0;
  double error = std::numeric_limits<double>::infinity();  // Σ weight·(value − decoded)²
};
enum class Shift { none, downward, any };   // downward: shift ≥ 0, so that 0 stays within reach

// How scales are chosen.
enum class ScaleSearch {
  plain,           // from the largest value, or the least and the largest: what other tools do without data
  least_squares,   // of scales around it the one of least weighted error, settled by least squares
  half_quadratic,  // few large errors rather than many small ones count less: Badri & Shaji 2023, HQQ
};

int nearest_level(const LevelRange& range, float level);
void round_levels(const LevelRange& range, std::span<const float> values, float step, float shift, int8_t* levels);

// `weights`: how much each value counts, not negative; plain and half_quadratic do without.
Line fit_line(const LevelRange& range, std::span<const float> values, const float* weights, Shift shift, ScaleSearch search);

}  // namespace pare
