#include "measure/frechet.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace pare {
namespace {

using Matrix = std::vector<double>;  // n x n, row by row

Matrix covariance(const FeatureSums& sums, size_t n) {
  const double count = double(sums.count);
  Matrix c(n * n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) c[i * n + j] = (sums.products[i * n + j] - sums.sum[i] * sums.sum[j] / count) / (count - 1);
  return c;
}

// L with L·Lᵀ = c, lower; a column without a pivot, of a feature that depends on those before, is 0.
Matrix cholesky(const Matrix& c, size_t n) {
  Matrix lower(n * n, 0.0);
  double largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, c[i * n + i]);
  for (size_t j = 0; j < n; ++j) {
    double pivot = c[j * n + j];
    for (size_t k = 0; k < j; ++k) pivot -= lower[j * n + k] * lower[j * n + k];
    if (pivot <= 1e-14 * largest) continue;
    const double root = lower[j * n + j] = std::sqrt(pivot);
    for (size_t i = j + 1; i < n; ++i) {
      double sum = c[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= lower[i * n + k] * lower[j * n + k];
      lower[i * n + j] = sum / root;
    }
  }
  return lower;
}

// Lᵀ·c·L: symmetric, with the eigenvalues of c·L·Lᵀ.
Matrix congruent(const Matrix& c, const Matrix& lower, size_t n) {
  Matrix half(n * n, 0.0), whole(n * n, 0.0);
  for (size_t i = 0; i < n; ++i)
    for (size_t k = 0; k < n; ++k)
      for (size_t j = 0; j <= k; ++j) half[i * n + j] += c[i * n + k] * lower[k * n + j];
  for (size_t k = 0; k < n; ++k)
    for (size_t i = 0; i <= k; ++i)
      for (size_t j = 0; j < n; ++j) whole[i * n + j] += lower[k * n + i] * half[k * n + j];
  return whole;
}

// Householder's reduction of a symmetric matrix to tridiagonal form (Golub & Van Loan, section 8.3.1).
void tridiagonal(Matrix a, size_t n, std::vector<double>& diagonal, std::vector<double>& beside) {
  diagonal.assign(n, 0);
  beside.assign(n, 0);  // beside[i]: between i and i + 1
  std::vector<double> v(n), p(n);
  for (size_t k = 0; k + 2 < n; ++k) {
    double norm = 0;
    for (size_t i = k + 1; i < n; ++i) norm += a[i * n + k] * a[i * n + k];
    norm = std::sqrt(norm);
    const double head = a[(k + 1) * n + k], alpha = head > 0 ? -norm : norm;
    beside[k] = alpha;
    if (norm == 0) continue;
    for (size_t i = k + 1; i < n; ++i) v[i] = a[i * n + k];
    v[k + 1] -= alpha;
    double square = 0;
    for (size_t i = k + 1; i < n; ++i) square += v[i] * v[i];
    if (square == 0) continue;
    double along = 0;  // of p on v
    for (size_t i = k + 1; i < n; ++i) {
      p[i] = 0;
      for (size_t j = k + 1; j < n; ++j) p[i] += a[i * n + j] * v[j];
      p[i] *= 2 / square;
      along += p[i] * v[i];
    }
    for (size_t i = k + 1; i < n; ++i) p[i] -= along / square * v[i];
    for (size_t i = k + 1; i < n; ++i)
      for (size_t j = k + 1; j < n; ++j) a[i * n + j] -= v[i] * p[j] + p[i] * v[j];
  }
  for (size_t i = 0; i < n; ++i) diagonal[i] = a[i * n + i];
  if (n > 1) beside[n - 2] = a[(n - 1) * n + n - 2];
}

// How many eigenvalues of the tridiagonal matrix lie below x (Sturm's sequence; Barth, Martin & Wilkinson 1967).
size_t below(const std::vector<double>& diagonal, const std::vector<double>& beside, double x) {
  size_t count = 0;
  double q = 1;
  for (size_t i = 0; i < diagonal.size(); ++i) {
    const double e = i > 0 ? beside[i - 1] : 0;
    q = diagonal[i] - x - (i > 0 ? e * e / (q == 0 ? 1e-300 : q) : 0);
    count += q < 0;
  }
  return count;
}

// Σ √λ over the eigenvalues; negative ones are rounding errors of 0.
double sum_of_roots(const Matrix& symmetric, size_t n) {
  std::vector<double> diagonal, beside;
  tridiagonal(symmetric, n, diagonal, beside);
  double most = 0;  // Gershgorin's bound
  for (size_t i = 0; i < n; ++i) most = std::max(most, diagonal[i] + std::abs(beside[i]) + (i > 0 ? std::abs(beside[i - 1]) : 0));
  double sum = 0;
  for (size_t k = 0; k < n; ++k) {
    double low = 0, high = most;
    for (int step = 0; step < 60 && high - low > 1e-15 * most; ++step) {
      const double middle = (low + high) / 2;
      (below(diagonal, beside, middle) > k ? high : low) = middle;
    }
    sum += std::sqrt((low + high) / 2);
  }
  return sum;
}

}  // namespace

void FeatureSums::add(std::span<const float> features) {
  const size_t n = features.size();
  if (sum.empty()) {
    sum.assign(n, 0);
    products.assign(n * n, 0);
  }
  if (n != sum.size()) throw Error("features", "a picture has " + std::to_string(n) + " features, others " + std::to_string(sum.size()));
  ++count;
  for (size_t i = 0; i < n; ++i) {
    sum[i] += features[i];
    for (size_t j = 0; j < n; ++j) products[i * n + j] += double(features[i]) * features[j];
  }
}

void FeatureSums::add(const FeatureSums& other, double sign) {
  if (sum.empty()) {
    sum.assign(other.sum.size(), 0);
    products.assign(other.products.size(), 0);
  }
  PARE_CHECK(sum.size() == other.sum.size());
  count += int64_t(sign) * other.count;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += sign * other.sum[i];
  for (size_t i = 0; i < products.size(); ++i) products[i] += sign * other.products[i];
}

double frechet_distance(const FeatureSums& a, const FeatureSums& b) {
  PARE_CHECK(a.sum.size() == b.sum.size() && a.count > 1 && b.count > 1);
  const size_t n = a.sum.size();
  const Matrix ca = covariance(a, n), cb = covariance(b, n);
  double distance = 0;
  for (size_t i = 0; i < n; ++i) {
    const double between = a.sum[i] / double(a.count) - b.sum[i] / double(b.count);
    distance += between * between + ca[i * n + i] + cb[i * n + i];
  }
  // C₁C₂ = L·Lᵀ·C₂ has the eigenvalues of Lᵀ·C₂·L, which is symmetric.
  return distance - 2 * sum_of_roots(congruent(cb, cholesky(ca, n), n), n);
}

}  // namespace pare
