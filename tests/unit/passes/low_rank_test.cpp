// Factors by a random subspace: near the best there are, and exact where nothing is left out.
#include "passes/solvers/low_rank.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace pare {
namespace {

double error_of(const std::vector<float>& w, const LowRank& f, int64_t rows, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double value = w[size_t(i * n + j)];
      for (int64_t r = 0; r < f.rank; ++r) value -= double(f.left[size_t(i * f.rank + r)]) * f.right[size_t(r * n + j)];
      sum += value * value;
    }
  return sum;
}

// Diagonal but for the order of rows and columns: the singular values are known, and fall slowly.
TEST(LeadingFactors, KeepTheLargestSingularValues) {
  const int64_t rows = 40, n = 60, rank = 5;
  std::vector<float> w(size_t(rows * n), 0.f);
  double all = 0, left_out = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const double value = 10 / std::sqrt(double(i + 1));
    w[size_t((i * 7 % rows) * n + i * 11 % n)] = float(value);
    all += value * value;
    if (i >= rank) left_out += value * value;
  }
  const LowRank f = leading_factors(w, rows, n, rank, 1);
  EXPECT_NEAR(error_of(w, f, rows, n), left_out, 0.02 * left_out);
  EXPECT_NEAR(f.relative_error, error_of(w, f, rows, n) / all, 1e-6);
  // Columns on the left have length 1, rows on the right those of the singular values.
  for (int64_t r = 0; r < rank; ++r) {
    double left = 0, right = 0;
    for (int64_t i = 0; i < rows; ++i) left += std::pow(f.left[size_t(i * rank + r)], 2);
    for (int64_t j = 0; j < n; ++j) right += std::pow(f.right[size_t(r * n + j)], 2);
    EXPECT_NEAR(left, 1, 1e-6);
    EXPECT_NEAR(right, 100 / double(r + 1), 1) << r;
  }
}

TEST(LeadingFactors, AreExactForMatricesOfThatRank) {
  const int64_t rows = 12, n = 9, rank = 3;
  Random random(4);
  std::vector<float> u(size_t(rows * rank)), v(size_t(rank * n)), w(size_t(rows * n), 0.f);
  for (float& x : u) x = float(random.normal());
  for (float& x : v) x = float(random.normal());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t r = 0; r < rank; ++r)
      for (int64_t j = 0; j < n; ++j) w[size_t(i * n + j)] += u[size_t(i * rank + r)] * v[size_t(r * n + j)];
  EXPECT_LT(error_of(w, leading_factors(w, rows, n, rank, 1), rows, n), 1e-9);
  EXPECT_LT(error_of(w, leading_factors(w, rows, n, n, 1), rows, n), 1e-9);  // more than there is
  const std::vector<float> zeros(size_t(rows * n), 0.f);
  EXPECT_EQ(error_of(zeros, leading_factors(zeros, rows, n, 2, 1), rows, n), 0);
}

}  // namespace
}  // namespace pare
