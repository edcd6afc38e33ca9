#pragma once
// Scales and offsets of weights in few bits: which of several leave the least error, and the levels under one.
// Every instruction set gives the same bits.
#include <cstdint>
#include <span>

namespace pare {

// The levels that weights are rounded to: every whole number from least to most, or the 16 ascending entries of a table.
struct LevelRange {
  int least, most;
  const int8_t* table = nullptr;
  bool positive = false;       // steps must be: ONNX has no other scales
};

// Lines are fitted side by side: rows of a matrix, each at the same columns.
constexpr int kLines = 16;
using PerLine = float[kLines];

// What is to be fitted: values[i] ≈ step·level − shift in each line.
struct LineSet {
  LevelRange range;
  const PerLine* values = nullptr;
  const float* weights = nullptr;  // how much each value counts, in every line; null: all alike
  int64_t count = 0;
};

// Of each line: the first of its values of largest size, and the least and the largest.
struct Extremes {
  PerLine loudest, least, most;
};

struct FittedLines {
  PerLine step, shift;             // 0 where no trial's error is a number
};

// Over a line's values, e being what a line leaves of each: Σ of weight times level, level², e, level·e and e².
struct LineSums {
  PerLine l, ll, e, le, ee;
  int32_t trial[kLines];           // that these are of
};

struct ScaleSearchKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  // `rows` (at most kLines) rows of `count` values, `pitch` apart, as a set wants them; the last row fills what is left.
  void (*lay_side_by_side)(const float* values, int64_t pitch, int rows, int64_t count, PerLine* to);
  Extremes (*extremes)(const LineSet& lines);
  // Without shifts. Trial t: the levels nearest to value / (loudest·factors[t]), and the step that fits these best by least squares. Each line
  // takes its trial of least error, the first of several; steps without a finite reciprocal are none.
  FittedLines (*fit_scales)(const LineSet& lines, const PerLine& loudest, std::span<const float> factors);
  // Trial t starts from the step span·factors[t] that gives `least` the least level; twice the levels are taken and the line is settled on
  // them by least squares. `downward`: shifts are not negative.
  FittedLines (*fit_shifted)(const LineSet& lines, const PerLine& least, const PerLine& span, std::span<const float> factors, bool downward);
  // The sums of the trial of least Σ weight·e², for steps and shifts as they are. `shifts` may be null: 0; l and e are not summed then.
  LineSums (*settle)(const LineSet& lines, const PerLine* steps, const PerLine* shifts, int trials);
  // levels[i] = the level nearest to (values[i] + shift)·inverse, of one line: the lower of two as near in a table, the even one of two
  // whole numbers.
  void (*round)(const LevelRange& range, const float* values, int64_t count, float inverse, float shift, int8_t* levels);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const ScaleSearchKernel> scale_search_kernels();
const ScaleSearchKernel& best_scale_search_kernel();

}  // namespace pare
