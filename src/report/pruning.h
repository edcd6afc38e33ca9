#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/row.h"

namespace pare {

// A model pruned to one sparsity.
struct PrunedPoint {
  size_t row = 0;                  // of the table
  double sparsity = 0;             // zeros of all weights, counted in the artifact
  std::optional<double> quality, low, high;  // in the metric's own unit; low and high: 95 % interval
  std::optional<double> size;      // bytes on disk as a fraction of the dense model's
  std::optional<double> time;      // latency as a multiple of the dense model's
  bool faster = false;             // than dense, beyond the 95 % intervals
};

// Recipes that differ in nothing but prune-weights' sparsity (or N:M, which sets it), and the model that is not pruned.
struct PruningCurve {
  std::string name;                // "prune-weights 4x1 + quantize-static"
  size_t dense = 0;                // the row with the same recipe but for pruning; the baseline where there is none
  std::vector<PrunedPoint> points; // by sparsity; the dense row first
  // The largest sparsity up to which no row's quality can be told from the baseline's; 0: not even the first's.
  std::optional<double> free_up_to;
  // Where the quality curve turns down: the point farthest above the line from its first to its last point (Satopaa et al.
  // 2011, Finding a "Kneedle" in a Haystack). None where it does not fall.
  std::optional<double> knee;
  // The sparsity from which on every row is faster than the dense model, beyond the intervals: where the straight line from
  // the row before meets the dense model's time.
  std::optional<double> break_even;
};

// Curves of at least three points.
std::vector<PruningCurve> pruning_curves(const Table& table);

}  // namespace pare
