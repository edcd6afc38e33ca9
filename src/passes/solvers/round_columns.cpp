// Rounding a layer with feedback: what one column loses, the columns behind it make up for; then descent on single levels.
#include "passes/solvers/round_columns.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/threads.h"
#include "kernels/float_products/float_products.h"

namespace pare {
namespace {

// Columns of the solver in the order they are rounded in: order[k] is the k-th one's place in the row.
class RoundRule : public ColumnRule {
 public:
  RoundRule(WeightGrid& grid, const std::vector<int64_t>& order, bool choose) : grid_(grid), order_(order), choose_(choose) {}

  int64_t block_end(int64_t first, int64_t n) const override { return std::min(n, first + (choose_ ? grid_.stretch() : kBlock)); }

  // A column's error counts as much as what is left of it when those behind it have made up for theirs.
  void begin_block(int64_t first, int64_t end, const WeightRows& weights, const InverseFactor& factor) override {
    if (!choose_) return;
    std::vector<float> importance;
    for (int64_t c = first; c < end; ++c) importance.push_back(1 / (factor.at(c, c) * factor.at(c, c)));
    parallel_for(weights.rows, [&](int64_t from, int64_t to) {
      grid_.choose(from, to - from, first, &weights.at(from, first), weights.n, importance.data());
    });
  }

  float compress(int64_t row, int64_t col, float value) const override { return grid_.round(row, order_[size_t(col)], value); }

 private:
  static constexpr int64_t kBlock = 128;
  WeightGrid& grid_;
  const std::vector<int64_t>& order_;
  bool choose_;
};

std::vector<int64_t> order_of(const RoundProblem& p) {
  std::vector<int64_t> order(size_t(p.n));
  std::iota(order.begin(), order.end(), int64_t(0));
  if (p.act_order) std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return p.products[size_t(a * p.n + a)] > p.products[size_t(b * p.n + b)]; });
  return order;
}

template <class T>
std::vector<T> in_order(const std::vector<T>& square, const std::vector<int64_t>& order) {
  const size_t n = order.size();
  std::vector<T> moved(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) moved[i * n + j] = square[size_t(order[i]) * n + size_t(order[j])];
  return moved;
}

std::vector<float> columns_in_order(const std::vector<float>& rows, const std::vector<int64_t>& order, bool back) {
  const size_t n = order.size();
  std::vector<float> moved(rows.size());
  for (size_t r = 0; r < rows.size() / n; ++r)
    for (size_t k = 0; k < n; ++k) {
      const auto place = size_t(order[k]);
      if (back) moved[r * n + place] = rows[r * n + k];
      else moved[r * n + k] = rows[r * n + place];
    }
  return moved;
}

// One row's error e = ŵ − w and its gradient g = e·H, kept true while levels and steps change.
class RowDescent {
 public:
  RowDescent(WeightGrid& grid, const std::vector<float>& h, int64_t row, float* rounded, float* gradient) : grid_(grid), h_(h.data()), row_(row), n_(grid.columns()), rounded_(rounded), gradient_(gradient) {}

  // Returns how many levels changed.
  int sweep() {
    for (int64_t c = 0; c < n_; c += grid_.part()) settle_step(c, std::min(n_, c + grid_.part()));
    int changed = 0;
    for (int64_t c = 0; c < n_; ++c) {
      const float curvature = h_[c * n_ + c], before = rounded_[c];
      const float after = grid_.round(row_, c, before - gradient_[c] / curvature);
      if (after == before) continue;
      change(c, after - before);
      ++changed;
    }
    return changed;
  }

 private:
  void change(int64_t col, float by) {
    rounded_[col] += by;
    const float* influence = h_ + col * n_;
    for (int64_t k = 0; k < n_; ++k) gradient_[k] += by * influence[k];
  }

  // The step of a part that is best for its levels, everything else as it is.
  void settle_step(int64_t first, int64_t end) {
    units_.clear();
    for (int64_t i = first; i < end; ++i) units_.push_back(grid_.unit(row_, i));
    double slope = 0, curvature = 0;
    for (int64_t i = first; i < end; ++i) {
      const float u = units_[size_t(i - first)], *influence = h_ + i * n_ + first;
      if (u == 0) continue;
      float bent = 0;
      for (size_t k = 0; k < units_.size(); ++k) bent += units_[k] * influence[k];
      slope += double(u) * gradient_[i];
      curvature += double(u) * bent;
    }
    // Half a thousandth of a step is less than float16 tells apart, and each change costs as much as all levels together.
    if (!(std::abs(slope) > 5e-4 * std::abs(grid_.step(row_, first)) * curvature)) return;
    const float grown = grid_.restep(row_, first, grid_.step(row_, first) - float(slope / curvature));
    if (grown == 0) return;
    for (int64_t i = first; i < end; ++i)
      if (const float u = units_[size_t(i - first)]; u != 0) change(i, grown * u);
  }

  WeightGrid& grid_;
  const float* h_;
  int64_t row_, n_;
  float *rounded_, *gradient_;
  std::vector<float> units_;   // of the part at work
};

void descend(WeightGrid& grid, const std::vector<float>& h, const std::vector<float>& optimum, std::vector<float>& rounded, int sweeps) {
  const int64_t n = grid.columns(), rows = grid.rows();
  std::vector<float> lost(rounded.size()), gradient(rounded.size(), 0.f);
  for (size_t i = 0; i < lost.size(); ++i) lost[i] = rounded[i] - optimum[i];
  add_product(Product<float>{{lost.data(), n, 1}, {h.data(), n, 1}, gradient.data(), n, rows, n, n});
  parallel_for(rows, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      RowDescent row(grid, h, r, rounded.data() + r * n, gradient.data() + r * n);
      for (int s = 0; s < sweeps && row.sweep() > 0; ++s) {}
    }
  });
}

}  // namespace

double round_columns(RoundProblem p, WeightGrid& grid) {
  const int64_t n = p.n, rows = p.rows;
  const std::vector<int64_t> order = order_of(p);
  double added = 0;
  std::vector<float> h(p.products.begin(), p.products.end());
  const InverseFactor factor = factor_inverse(in_order(p.products, order), n, p.damping, &added);
  std::vector<float> optimum = columns_in_order(p.weights, order, false);
  if (!p.cross.empty()) optimum = adapted_rows(optimum, rows, n, in_order(p.cross, order), factor, added);
  std::vector<float> rounded = optimum;
  optimum = columns_in_order(optimum, order, true);
  if (p.act_order) {
    std::vector<float> importance;
    for (int64_t c = 0; c < n; ++c) importance.push_back(h[size_t(c * n + c)] + float(added));
    choose_rows(grid, optimum.data(), importance.data());
  }
  RoundRule rule(grid, order, !p.act_order);
  compress_columns({rounded.data(), rows, n}, factor, rule);
  rounded = columns_in_order(rounded, order, true);
  for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] += float(added);
  if (p.sweeps > 0) descend(grid, h, optimum, rounded, p.sweeps);
  std::vector<float> lost(optimum.size());
  for (size_t i = 0; i < lost.size(); ++i) lost[i] = optimum[i] - rounded[i];
  return energy(lost, rows, n, h) / std::max(energy(optimum, rows, n, h), 1e-30);
}

}  // namespace pare
