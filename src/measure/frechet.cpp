#include "measure/frechet.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/symmetric_eigen.h"

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

// Σ √λ over the eigenvalues; negative ones are rounding errors of 0.
double sum_of_roots(Matrix symmetric, size_t n) {
  double sum = 0;
  for (const double value : symmetric_eigen(std::move(symmetric), int64_t(n)).values) sum += std::sqrt(std::max(value, 0.0));
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
