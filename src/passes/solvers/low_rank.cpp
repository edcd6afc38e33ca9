// Only the left singular vectors are needed: from the eigenvectors of (W·L)(W·L)ᵀ = W·H·Wᵀ, or, where rows are the
// longer side, of (W·L)ᵀ(W·L).
#include "passes/solvers/low_rank.h"

#include <cmath>
#include <numeric>

#include "kernels/float_products/float_products.h"
#include "passes/solvers/inverse_factor.h"
#include "passes/solvers/symmetric_eigen.h"

namespace pare {
namespace {

using Matrix = std::vector<double>;

// a (m x k) · b (k x n)
Matrix times(const Matrix& a, const Matrix& b, int64_t m, int64_t k, int64_t n) {
  Matrix c(size_t(m * n), 0.0);
  add_product(Product<double>{{a.data(), k, 1}, {b.data(), n, 1}, c.data(), n, m, n, k});
  return c;
}
// a (m x k) · bᵀ, b being n x k
Matrix times_turned(const Matrix& a, const Matrix& b, int64_t m, int64_t k, int64_t n) {
  Matrix c(size_t(m * n), 0.0);
  add_product(Product<double>{{a.data(), k, 1}, {b.data(), 1, k}, c.data(), n, m, n, k});
  return c;
}
// aᵀ · b, a being k x m and b k x n
Matrix turned_times(const Matrix& a, const Matrix& b, int64_t m, int64_t k, int64_t n) {
  Matrix c(size_t(m * n), 0.0);
  add_product(Product<double>{{a.data(), 1, m}, {b.data(), n, 1}, c.data(), n, m, n, k});
  return c;
}

void damp(Matrix& h, int64_t n, double damping) {
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += h[size_t(i * n + i)] / double(n);
  for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] += damping * (mean > 0 ? mean : 1);
}

// Eigenvalues of (W·L)(W·L)ᵀ and the first `rank` left singular vectors of W·L, rank x rows.
struct Directions {
  Matrix values, vectors;
};

Directions over_rows(const Matrix& w, const Matrix& h, int64_t rows, int64_t n, int64_t rank) {
  Eigen eigen = symmetric_eigen(times_turned(times(w, h, rows, n, n), w, rows, n, rows), rows);
  eigen.vectors.resize(size_t(rank * rows));
  return {std::move(eigen.values), std::move(eigen.vectors)};
}

Directions over_columns(const Matrix& w, const Matrix& h, int64_t rows, int64_t n, int64_t rank) {
  const Matrix seen = times(w, lower_factor(h, n), rows, n, n);  // W·L
  Eigen eigen = symmetric_eigen(turned_times(seen, seen, n, rows, n), n);
  eigen.vectors.resize(size_t(rank * n));
  Matrix left = times_turned(eigen.vectors, seen, rank, n, rows);
  for (int64_t r = 0; r < rank; ++r) {
    const double length = std::sqrt(std::max(eigen.values[size_t(r)], 0.0));
    for (int64_t i = 0; i < rows; ++i)
      left[size_t(r * rows + i)] = length > 0 ? left[size_t(r * rows + i)] / length : 0;
  }
  return {std::move(eigen.values), std::move(left)};
}

}  // namespace

LowRank factorize(std::span<const float> weights, int64_t rows, int64_t n, std::vector<double> h, double damping,
                  int64_t rank) {
  const Matrix w(weights.begin(), weights.end());
  if (h.empty()) {
    h.assign(size_t(n * n), 0.0);
    for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] = 1;
  } else {
    damp(h, n, damping);
  }
  const Directions found = rows <= n ? over_rows(w, h, rows, n, rank) : over_columns(w, h, rows, n, rank);
  LowRank result;
  result.rank = rank;
  result.left.resize(size_t(rows * rank));
  for (int64_t r = 0; r < rank; ++r)
    for (int64_t i = 0; i < rows; ++i) result.left[size_t(i * rank + r)] = float(found.vectors[size_t(r * rows + i)]);
  const Matrix right = times(found.vectors, w, rank, rows, n);
  result.right.assign(right.begin(), right.end());
  double all = 0, left_out = 0;
  for (size_t i = 0; i < found.values.size(); ++i) {
    const double value = std::max(found.values[i], 0.0);
    all += value;
    if (int64_t(i) >= rank) left_out += value;
  }
  result.relative_error = all > 0 ? left_out / all : 0;
  return result;
}

}  // namespace pare
