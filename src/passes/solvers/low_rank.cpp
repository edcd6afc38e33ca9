// Only the left singular vectors are needed: from the eigenvectors of (W·L)(W·L)ᵀ = W·H·Wᵀ, or, where rows are the
// longer side, of (W·L)ᵀ(W·L).
#include "passes/solvers/low_rank.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "base/symmetric_eigen.h"
#include "kernels/float_products/float_products.h"
#include "passes/solvers/inverse_factor.h"

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

// `left` is rank x rows here.
LowRank made_of(const Matrix& left, const Matrix& right, int64_t rows, int64_t rank, double relative_error) {
  LowRank result{rank, std::vector<float>(size_t(rows * rank)), {right.begin(), right.end()}, relative_error};
  for (int64_t r = 0; r < rank; ++r)
    for (int64_t i = 0; i < rows; ++i) result.left[size_t(i * rank + r)] = float(left[size_t(r * rows + i)]);
  return result;
}

double inner(const double* a, const double* b, int64_t n) {
  return std::inner_product(a, a + n, b, 0.0);
}

// Rows become orthonormal, twice over for what rounding left (Giraud et al. 2005); what depends on those in front
// becomes 0.
void orthonormalize(Matrix& rows, int64_t count, int64_t n) {
  for (int64_t i = 0; i < count; ++i) {
    double* row = &rows[size_t(i * n)];
    const double before = std::sqrt(inner(row, row, n));
    for (int turn = 0; turn < 2; ++turn)
      for (int64_t j = 0; j < i; ++j) {
        const double* other = &rows[size_t(j * n)];
        const double along = inner(row, other, n);
        for (int64_t c = 0; c < n; ++c) row[c] -= along * other[c];
      }
    const double length = std::sqrt(inner(row, row, n)), factor = length > 1e-12 * before ? 1 / length : 0;
    for (int64_t c = 0; c < n; ++c) row[c] *= factor;
  }
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
  double all = 0, left_out = 0;
  for (size_t i = 0; i < found.values.size(); ++i) {
    const double value = std::max(found.values[i], 0.0);
    all += value;
    if (int64_t(i) >= rank) left_out += value;
  }
  return made_of(found.vectors, times(found.vectors, w, rank, rows, n), rows, rank, all > 0 ? left_out / all : 0);
}

LowRank leading_factors(std::span<const float> weights, int64_t rows, int64_t n, int64_t rank, uint64_t seed) {
  constexpr int64_t kMore = 8;
  constexpr int kPasses = 4;
  const int64_t k = std::min({rank + kMore, rows, n});
  const Matrix w(weights.begin(), weights.end());
  Random random(seed);
  Matrix right(static_cast<size_t>(k * n)), left;  // k x n, k x rows
  for (double& x : right) x = random.normal();
  for (int pass = 0; pass < kPasses; ++pass) {
    orthonormalize(right, k, n);
    left = times_turned(right, w, k, n, rows);
    orthonormalize(left, k, rows);
    right = times(left, w, k, rows, n);
  }
  // leftᵀ·right is W projected on the subspace; the eigenvectors of right·rightᵀ turn both to its singular vectors.
  Eigen eigen = symmetric_eigen(times_turned(right, right, k, n, k), k);
  eigen.vectors.resize(size_t(rank * k));
  const Matrix first = times(eigen.vectors, left, rank, k, rows), rest = times(eigen.vectors, right, rank, k, n);
  const double all = inner(w.data(), w.data(), rows * n), kept = inner(rest.data(), rest.data(), rank * n);
  return made_of(first, rest, rows, rank, all > 0 ? std::max(1 - kept / all, 0.0) : 0);
}

}  // namespace pare
