#include "passes/solvers/least_squares.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"

namespace pare {
namespace {

// Four sums side by side, so that they need not wait for each other.
double dot(const double* a, const double* b, int64_t n) {
  double sums[4] = {0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) sums[k] += a[i + k] * b[i + k];
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Small work is done at once: waiting for other threads takes longer where the cores are shared.
template <class Body>
void for_range(int64_t n, int64_t work_each, const Body& body) {
  if (n > 1 && n * work_each > 20'000'000) parallel_for(n, body);
  else body(int64_t(0), n);
}

double mean_diagonal(const std::vector<double>& a, int64_t n) {
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += a[size_t(i * n + i)] / double(n);
  return mean > 0 && std::isfinite(mean) ? mean : 1;
}

// a⁻¹, with more on the diagonal where a is singular.
std::vector<double> inverse_of(const std::vector<double>& a, int64_t n, double damping) {
  const double mean = mean_diagonal(a, n);
  for (;; damping *= 10) {
    std::vector<double> factor = a;
    for (int64_t i = 0; i < n; ++i) factor[size_t(i * n + i)] += damping * mean;
    if (!factor_cholesky(factor, n) && damping < 1e6) continue;
    std::vector<double> inverse(size_t(n * n), 0.0);
    for (int64_t i = 0; i < n; ++i) inverse[size_t(i * n + i)] = 1;
    solve_cholesky(factor, n, inverse, n);
    return inverse;
  }
}

class Remover {
 public:
  explicit Remover(ReaderSystem reader) : r_(std::move(reader)), inverse_(inverse_of(r_.covariance, r_.n, 1e-3)) {
    for (int64_t m = 0; m < r_.rows; ++m) {
      const double* w = r_.weights.data() + m * r_.n;
      for (int64_t i = 0; i < r_.n; ++i)
        if (w[i] != 0) variance_ += w[i] * dot(w, r_.covariance.data() + i * r_.n, r_.n);
    }
    variance_ = std::max(variance_, 1e-30);
  }

  // Σ over outputs of w_S · (H⁻¹_SS)⁻¹ · w_Sᵀ, as a share.
  double loss(size_t candidate) const {
    const auto& columns = r_.columns[candidate];
    const auto s = int64_t(columns.size());
    if (s == 0) return 0;
    const std::vector<double> factor = block_factor(columns);
    std::vector<double> w = gather(columns);
    // |L⁻¹·w|² row by row.
    double sum = 0;
    for (int64_t m = 0; m < r_.rows; ++m) {
      double* x = w.data() + m * s;
      for (int64_t i = 0; i < s; ++i) {
        x[i] = (x[i] - dot(factor.data() + i * s, x, i)) / factor[size_t(i * s + i)];
        sum += x[i] * x[i];
      }
    }
    return sum / variance_;
  }

  void remove(size_t candidate) {
    const auto& columns = r_.columns[candidate];
    const auto s = int64_t(columns.size()), n = r_.n;
    if (s == 0) return;
    const std::vector<double> factor = block_factor(columns);
    std::vector<double> w = gather(columns), rows(size_t(n * s));  // rows: H⁻¹_:S, a row a column of H
    for (int64_t i = 0; i < n; ++i)
      for (int64_t k = 0; k < s; ++k) rows[size_t(i * s + k)] = inverse_[size_t(columns[size_t(k)] * n + i)];
    solve_cholesky(factor, s, w, r_.rows);
    std::vector<double> solved = rows;
    solve_cholesky(factor, s, solved, n);
    for_range(r_.rows, n * s, [&](int64_t first, int64_t last) {
      for (int64_t m = first; m < last; ++m)
        for (int64_t i = 0; i < n; ++i) r_.weights[size_t(m * n + i)] -= dot(w.data() + m * s, rows.data() + i * s, s);
    });
    for_range(n, n * s, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        for (int64_t j = 0; j < n; ++j) inverse_[size_t(i * n + j)] -= dot(solved.data() + i * s, rows.data() + j * s, s);
    });
    for (int64_t c : columns) {
      for (int64_t m = 0; m < r_.rows; ++m) r_.weights[size_t(m * n + c)] = 0;
      for (int64_t i = 0; i < n; ++i) inverse_[size_t(c * n + i)] = inverse_[size_t(i * n + c)] = 0;
      inverse_[size_t(c * n + c)] = 1;
    }
  }

  const std::vector<double>& weights() const { return r_.weights; }

 private:
  std::vector<double> gather(const std::vector<int64_t>& columns) const {
    std::vector<double> w;
    for (int64_t m = 0; m < r_.rows; ++m)
      for (int64_t c : columns) w.push_back(r_.weights[size_t(m * r_.n + c)]);
    return w;
  }
  std::vector<double> block_factor(const std::vector<int64_t>& columns) const {
    const auto s = int64_t(columns.size());
    std::vector<double> block;
    for (int64_t a : columns)
      for (int64_t b : columns) block.push_back(inverse_[size_t(a * r_.n + b)]);
    const double mean = mean_diagonal(block, s);
    std::vector<double> factor = block;
    for (double damping = 1e-9; !factor_cholesky(factor, s) && damping < 1e6; damping *= 10) {
      factor = block;
      for (int64_t i = 0; i < s; ++i) factor[size_t(i * s + i)] += damping * mean;
    }
    return factor;
  }

  ReaderSystem r_;
  std::vector<double> inverse_;
  double variance_ = 0;
};

}  // namespace

bool factor_cholesky(std::vector<double>& a, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double* row = a.data() + i * n;
    for (int64_t j = 0; j < i; ++j) row[j] = (row[j] - dot(row, a.data() + j * n, j)) / a[size_t(j * n + j)];
    const double pivot = row[i] - dot(row, row, i);
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    row[i] = std::sqrt(pivot);
  }
  return true;
}

void solve_cholesky(const std::vector<double>& factor, int64_t n, std::vector<double>& b, int64_t count) {
  const double* l = factor.data();
  for_range(count, n * n, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
      double* x = b.data() + k * n;
      for (int64_t i = 0; i < n; ++i) x[i] = (x[i] - dot(l + i * n, x, i)) / l[i * n + i];
      for (int64_t i = n; i-- > 0;) {
        x[i] /= l[i * n + i];
        for (int64_t j = 0; j < i; ++j) x[j] -= x[i] * l[i * n + j];
      }
    }
  });
}

std::vector<double> fit_rows(std::vector<double> xx, const std::vector<double>& yx, const std::vector<double>& start, int64_t rows, int64_t n, double ridge) {
  PARE_CHECK(int64_t(xx.size()) == n * n && int64_t(yx.size()) == rows * n && start.size() == yx.size());
  const double mean = mean_diagonal(xx, n);
  for (;; ridge *= 10) {
    std::vector<double> factor = xx, w = yx;
    for (int64_t i = 0; i < n; ++i) factor[size_t(i * n + i)] += ridge * mean;
    for (size_t i = 0; i < w.size(); ++i) w[i] += ridge * mean * start[i];
    if (!factor_cholesky(factor, n) && ridge < 1e6) continue;
    solve_cholesky(factor, n, w, rows);
    return w;
  }
}

Removals order_removals(std::vector<ReaderSystem> readers, size_t candidates, size_t count) {
  std::vector<Remover> removers;
  std::vector<char> gone(candidates, 0);
  Removals removals;
  double total = 0;
  int64_t work = 0;  // of one candidate
  for (const ReaderSystem& reader : readers) {
    const int64_t s = reader.columns.empty() ? 0 : int64_t(reader.columns[0].size());
    work += (reader.rows + s) * s * s;
  }
  for (ReaderSystem& reader : readers) removers.emplace_back(std::move(reader));
  while (removals.order.size() < std::min(count, candidates)) {
    std::vector<double> losses(candidates, INFINITY);
    for_range(int64_t(candidates), work, [&](int64_t first, int64_t last) {
      for (int64_t c = first; c < last; ++c) {
        if (gone[size_t(c)]) continue;
        losses[size_t(c)] = 0;
        for (const Remover& remover : removers) losses[size_t(c)] += remover.loss(size_t(c));
      }
    });
    size_t best = size_t(std::min_element(losses.begin(), losses.end()) - losses.begin());
    while (gone[best]) ++best;  // where all losses are infinite
    for (Remover& remover : removers) remover.remove(best);
    gone[best] = 1;
    total += losses[best];
    removals.order.push_back(best);
    removals.loss.push_back(total);
    if (removals.order.size() != std::max<size_t>(std::min(count, candidates) / 2, 1)) continue;
    removals.probe = removals.order.size();
    for (const Remover& remover : removers) removals.probe_weights.push_back(remover.weights());
  }
  return removals;
}

}  // namespace pare
