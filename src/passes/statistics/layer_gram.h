#pragma once
#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace pare {

// What a layer reads, as rows of columns: a row a position (pixel of the output, token), a column each weight of an output, in
// the order the weight is stored ([in, kernel…] of a convolution), and a last one that is always 1 for the bias.
class LayerGram {
 public:
  // `kernel`: extents of a convolution's, empty: a linear layer over the last axis. `columns`: weights of an output.
  LayerGram(const Node& node, Dims kernel, int64_t columns, uint64_t seed) : node_(node), kernel_(std::move(kernel)), columns_(columns), seed_(seed) {}

  // Adds one sample: positions spread over all of x, at most `most`. `y`: what the layer is to compute, its channels `kept`, over
  // axis 1 of a convolution or the last, less `added` (which has these channels only); null: nothing.
  void see(const Array& x, const Array* y, const Array* added, const std::vector<int64_t>& kept, int64_t most);

  void finish();                                          // after the last sample, before anything below is read
  int64_t n() const { return columns_ + 1; }
  const std::vector<double>& xx() const { return xx_; }   // Σ x·xᵀ, n x n
  const std::vector<double>& yx() const { return yx_; }   // Σ y·xᵀ, kept x n
  std::vector<double> covariance(bool centred) const;     // of the columns without the last; of all positions' mean

 private:
  std::vector<int64_t> sampled(int64_t all, int64_t most);
  std::vector<float> rows_of(const Array& x, const std::vector<int64_t>& positions) const;

  Node node_;
  Dims kernel_;
  int64_t columns_;
  uint64_t seed_;
  int64_t positions_ = 0, samples_ = 0, outputs_ = 0;
  std::vector<float> rows_, targets_;  // not added up yet
  std::vector<double> xx_, yx_;
};

}  // namespace pare
