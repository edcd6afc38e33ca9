// Optimal brain surgery a layer: masks chosen on the way through the columns, errors taken up by the columns behind, and at
// the end a least squares fit of what is left.
#include "passes/solvers/prune_columns.h"

#include <algorithm>
#include <cmath>

#include "kernels/float_products/float_products.h"

namespace pare {
namespace {

// Columns where the pattern's groups or blocks begin; a block of columns ends at one of them.
std::vector<int64_t> column_cuts(const MatrixShape& shape, const PrunePattern& pattern) {
  const int64_t step = pattern.fixed() ? pattern.of : pattern.block_cols;
  std::vector<int64_t> cuts;
  for (int64_t run = 0; run < shape.cols; run += shape.run)
    for (int64_t c = run; c < run + shape.run; c += step) cuts.push_back(c);
  cuts.push_back(shape.cols);
  return cuts;
}

class PruneRule : public ColumnRule {
 public:
  // `expected`: the mask by the scores of the untouched layer. How many weights each block of columns loses follows from
  // it, since columns differ (a kernel's corners matter less than its centre); which ones is chosen when the block is reached.
  PruneRule(const MatrixShape& shape, const PrunePattern& pattern, std::vector<uint8_t> expected, int64_t width)
      : shape_(shape), pattern_(pattern), mask_(std::move(expected)), cuts_(column_cuts(shape, pattern)), width_(width) {}

  int64_t block_end(int64_t first, int64_t n) const override {
    if (first >= shape_.cols) return n;  // the bias
    const auto after = std::lower_bound(cuts_.begin(), cuts_.end(), first + width_);
    return after == cuts_.end() ? shape_.cols : *after;
  }

  void begin_block(int64_t first, int64_t end, const WeightRows& weights, const InverseFactor& factor) override {
    end = std::min(end, shape_.cols);
    if (first >= end) return;
    const int64_t width = end - first;
    std::vector<float> scores(size_t(shape_.rows * width));
    int64_t count = 0;
    for (int64_t r = 0; r < shape_.rows; ++r)
      for (int64_t c = first; c < end; ++c) {
        const float loss = weights.at(r, c) / factor.at(c, c);
        scores[size_t(r * width + c - first)] = loss * loss;
        count += mask_[size_t(r * shape_.cols + c)] == 0;
      }
    const std::vector<uint8_t> chosen = choose(scores, first, end, count);
    for (int64_t r = 0; r < shape_.rows; ++r)
      for (int64_t c = first; c < end; ++c) mask_[size_t(r * shape_.cols + c)] = chosen[size_t(r * width + c - first)];
  }

  float compress(int64_t row, int64_t col, float value) const override { return col >= shape_.cols || mask_[size_t(row * shape_.cols + col)] != 0 ? value : 0; }

  const std::vector<uint8_t>& mask() const { return mask_; }

 private:
  // A mask of these columns alone, run by run, because the pattern begins anew at each run.
  std::vector<uint8_t> choose(const std::vector<float>& scores, int64_t first, int64_t end, int64_t count) const {
    const int64_t width = end - first;
    if (!pattern_.fixed() && pattern_.block_rows * pattern_.block_cols == 1) return prune_mask(scores, {shape_.rows, width, width, shape_.group_rows}, pattern_, count, false);
    std::vector<PruneUnit> units;
    std::vector<uint8_t> mask(scores.size(), 1);
    for (int64_t from = first; from < end;) {
      const int64_t to = std::min(end, (from / shape_.run + 1) * shape_.run), part = to - from;
      std::vector<float> run(size_t(shape_.rows * part));
      for (int64_t r = 0; r < shape_.rows; ++r) std::copy_n(scores.begin() + r * width + from - first, part, run.begin() + r * part);
      const MatrixShape shape{shape_.rows, part, part, shape_.group_rows};
      if (pattern_.fixed()) {
        const std::vector<uint8_t> some = prune_mask(run, shape, pattern_, 0, false);
        for (int64_t r = 0; r < shape_.rows; ++r) std::copy_n(some.begin() + r * part, part, mask.begin() + r * width + from - first);
      } else {
        for (PruneUnit unit : prune_units(run, shape, pattern_)) {
          unit.col += int32_t(from - first);
          units.push_back(unit);
        }
      }
      from = to;
    }
    if (!pattern_.fixed()) prune_least(units, count, width, mask);
    return mask;
  }

  MatrixShape shape_;
  PrunePattern pattern_;
  std::vector<uint8_t> mask_;
  std::vector<int64_t> cuts_;
  int64_t width_;
};

}  // namespace

std::vector<float> obs_scores(std::span<const float> weights, const MatrixShape& shape, const InverseFactor& factor) {
  const std::vector<double> diagonal = factor.inverse_diagonal();
  std::vector<float> scores(size_t(shape.count()));
  for (int64_t r = 0; r < shape.rows; ++r)
    for (int64_t c = 0; c < shape.cols; ++c) {
      const double w = weights[size_t(r * factor.n + c)];
      scores[size_t(r * shape.cols + c)] = float(w * w / diagonal[size_t(c)]);
    }
  return scores;
}

PrunedRows prune_columns(PruneProblem p, int64_t count) {
  const int64_t n = p.n, rows = p.shape.rows;
  double added = 0;
  std::vector<float> h(p.products.begin(), p.products.end());
  const InverseFactor factor = factor_inverse(std::move(p.products), n, p.damping, &added);
  for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] += float(added);
  const std::vector<float> optimum = p.cross.empty() ? p.weights : adapted_rows(p.weights, rows, n, p.cross, factor, added);
  PruneRule rule(p.shape, p.pattern, prune_mask(obs_scores(optimum, p.shape, factor), p.shape, p.pattern, count, false), p.block_columns);
  PrunedRows result;
  result.weights = optimum;
  const WeightRows weights{result.weights.data(), rows, n};
  compress_columns(weights, factor, rule);
  result.mask = rule.mask();
  std::vector<uint8_t> whole_mask(result.weights.size(), 1);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(result.mask.begin() + r * p.shape.cols, p.shape.cols, whole_mask.begin() + r * n);
  refit_rows(weights, optimum, h, whole_mask, p.refit_steps);
  std::vector<float> lost(optimum.size());
  for (size_t i = 0; i < lost.size(); ++i) lost[i] = optimum[i] - result.weights[i];
  result.relative_error = energy(lost, rows, n, h) / std::max(energy(optimum, rows, n, h), 1e-30);
  return result;
}

}  // namespace pare
