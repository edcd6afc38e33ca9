// With the order of rows and columns reversed, H = L·Lᵀ; then U is L⁻¹ with both orders turned back. So one Cholesky
// factorization and one triangular inverse give what the column solver needs, without H⁻¹ itself.
#include "passes/solvers/inverse_factor.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/float_products/float_products.h"

namespace pare {
namespace {

constexpr int64_t kBlock = 64;  // columns factored without tiles

// The lower Cholesky factor of the m x m matrix at `a` in place; false where it is not positive definite.
bool factor_small(double* a, int64_t pitch, int64_t m) {
  for (int64_t j = 0; j < m; ++j) {
    double pivot = a[j * pitch + j];
    for (int64_t k = 0; k < j; ++k) pivot -= a[j * pitch + k] * a[j * pitch + k];
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    pivot = a[j * pitch + j] = std::sqrt(pivot);
    for (int64_t i = j + 1; i < m; ++i) {
      double sum = a[i * pitch + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * pitch + k] * a[j * pitch + k];
      a[i * pitch + j] = sum / pivot;
    }
  }
  return true;
}

// The inverse of the lower triangle at `a`, m x m, as an array of its own.
std::vector<double> invert_small(const double* a, int64_t pitch, int64_t m) {
  std::vector<double> x(size_t(m * m), 0.0);
  for (int64_t j = 0; j < m; ++j)
    for (int64_t i = j; i < m; ++i) {
      double sum = i == j ? 1 : 0;
      for (int64_t k = j; k < i; ++k) sum -= a[i * pitch + k] * x[size_t(k * m + j)];
      x[size_t(i * m + j)] = sum / a[i * pitch + i];
    }
  return x;
}

// The lower factor of `a` in its lower triangle, block by block (right-looking).
bool factor_lower(std::vector<double>& a, int64_t n) {
  for (int64_t j = 0; j < n; j += kBlock) {
    const int64_t m = std::min(kBlock, n - j), rest = n - j - m;
    double* diagonal = a.data() + j * n + j;
    if (!factor_small(diagonal, n, m)) return false;
    if (rest == 0) break;
    const std::vector<double> inverse = invert_small(diagonal, n, m);
    double* below = diagonal + m * n;
    std::vector<double> panel(size_t(rest * m), 0.0);  // below · L⁻ᵀ
    add_product(Product<double>{{below, n, 1}, {inverse.data(), 1, m}, panel.data(), m, rest, m, m});
    for (int64_t i = 0; i < rest; ++i) std::copy_n(panel.begin() + i * m, m, below + i * n);
    // The trailing matrix is symmetric; its upper half is computed and copied down.
    add_product(Product<double>{{panel.data(), m, 1}, {panel.data(), 1, m}, below + m, n, rest, rest, m, -1, true});
    for (int64_t i = 0; i < rest; ++i)
      for (int64_t k = i + 1; k < rest; ++k) below[m + k * n + i] = below[m + i * n + k];
  }
  return true;
}

// The inverse of the lower triangular `l`, n x n: a row of blocks after the other.
std::vector<double> invert_lower(const std::vector<double>& l, int64_t n) {
  std::vector<double> x(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = std::min(kBlock, n - i);
    const std::vector<double> inverse = invert_small(l.data() + i * n + i, n, m);
    for (int64_t r = 0; r < m; ++r) std::copy_n(inverse.begin() + r * m, m, x.begin() + (i + r) * n + i);
    if (i == 0) continue;
    std::vector<double> sum(size_t(m * i), 0.0);
    add_product(Product<double>{{l.data() + i * n, n, 1}, {x.data(), n, 1}, sum.data(), i, m, i, i});
    add_product(Product<double>{{inverse.data(), m, 1}, {sum.data(), i, 1}, x.data() + i * n, n, m, i, m, -1});
  }
  return x;
}

}  // namespace

std::vector<double> InverseFactor::inverse_diagonal() const {
  std::vector<double> diagonal(size_t(n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = i; j < n; ++j) diagonal[size_t(j)] += double(at(i, j)) * at(i, j);
  return diagonal;
}

std::vector<double> lower_factor(std::vector<double> h, int64_t n) {
  for (double more = 1e-9;; more *= 8) {
    std::vector<double> lower = h;
    if (factor_lower(lower, n)) {
      for (int64_t i = 0; i < n; ++i) std::fill(lower.begin() + i * n + i + 1, lower.begin() + (i + 1) * n, 0.0);
      return lower;
    }
    for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] *= 1 + more;
    PARE_CHECK(more < 1e9);
  }
}

InverseFactor factor_inverse(std::vector<double> h, int64_t n, double damping, double* added) {
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += h[size_t(i * n + i)] / double(n);
  if (!(mean > 0) || !std::isfinite(mean)) mean = 1;
  for (double share = std::max(damping, 1e-9);; share *= 2) {
    std::vector<double> reversed(h.rbegin(), h.rend());  // both orders at once, the matrix being symmetric
    for (int64_t i = 0; i < n; ++i) reversed[size_t(i * n + i)] += share * mean;
    if (!factor_lower(reversed, n) && share < 1e6) continue;
    const std::vector<double> inverse = invert_lower(reversed, n);
    if (added != nullptr) *added = share * mean;
    return {n, std::vector<float>(inverse.rbegin(), inverse.rend())};
  }
}

}  // namespace pare
