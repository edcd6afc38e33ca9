#pragma once
#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "passes/pass.h"

namespace pare {

// How a layer reads a value, as the columns of a matrix with one row a position of the output (a pixel, a token):
// column = tap · channels + channel, the order of MatrixShape; grouped convolutions: one such matrix a group.
struct ColumnView {
  Node node;                     // a convolution's strides, pads, …
  std::vector<int64_t> kernel;   // its extents; empty: a linear layer, the positions of which are
  bool columns_last = true;      // all axes but the last, or else all but the one before it
  int64_t groups = 1, columns = 0;  // of one group
};
ColumnView column_view(const Node& node, const Dims& weight, bool left);

// Which pixels or tokens of a sample are looked at: `most` spread over all, jittered so that no grid is favoured. The same
// for the same seed and sample.
struct PositionSampler {
  uint64_t seed = 1;
  int64_t most = 256;
};

// Σ x·xᵀ over positions and samples, x the columns of a position and a last one that is always 1, so that means come along.
// With `original` also Σ y·xᵀ, y the same of another graph's value. Memory: groups · (columns + 1)² floats, or twice that.
class ColumnProducts {
 public:
  ColumnProducts(ColumnView view, PositionSampler sampler, bool squares_only) : view_(std::move(view)), sampler_(sampler), squares_only_(squares_only) {}
  // One sample; `original` may be null. Throws Error where the value is not what the layer's weight expects.
  void see(const Array& values, const Array* original);

  int64_t columns() const { return view_.columns + 1; }
  int64_t positions() const { return positions_; }                // that were seen
  void finish() { flush(); }                                      // after the last sample
  std::vector<double> squares(int64_t group) const;               // Σ x², per column
  std::vector<double> products(int64_t group) const;              // Σ x·xᵀ, whole
  std::vector<float> cross_products(int64_t group) const;         // Σ y·xᵀ; empty where no original was given
  static int64_t bytes(const ColumnView& view, bool squares_only, bool cross);

 private:
  void append_panel(const Array& values, const std::vector<int64_t>& positions, int64_t group, std::vector<float>& rows) const;
  void flush();
  int64_t position_count(const Array& values) const;

  ColumnView view_;
  PositionSampler sampler_;
  bool squares_only_;
  int64_t positions_ = 0, samples_ = 0;
  std::vector<std::vector<double>> squares_;                       // by group
  std::vector<std::vector<float>> products_, cross_;               // by group; of products the upper half
  std::vector<std::vector<float>> pending_, pending_other_;        // by group; positions not yet in the products
};

}  // namespace pare
