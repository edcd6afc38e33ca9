// Fitting rows and removing columns, against what brute force finds.
#include "passes/solvers/least_squares.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace pare {
namespace {

std::vector<double> random_values(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<double> values(count);
  for (double& v : values) v = random.normal();
  return values;
}

// Σ x·xᵀ of more samples than columns.
std::vector<double> moments(int64_t n, uint64_t seed) {
  const std::vector<double> x = random_values(size_t(4 * n * n), seed);
  std::vector<double> h(size_t(n * n), 0.0);
  for (int64_t p = 0; p < 4 * n; ++p)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) h[size_t(i * n + j)] += x[size_t(p * n + i)] * x[size_t(p * n + j)] / double(4 * n);
  return h;
}

TEST(LeastSquares, FindsTheRowsBehindTheSums) {
  const int64_t n = 9, rows = 3;
  const std::vector<double> h = moments(n, 1), w = random_values(size_t(rows * n), 2);
  std::vector<double> yx(size_t(rows * n), 0.0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) yx[size_t(r * n + i)] += w[size_t(r * n + j)] * h[size_t(j * n + i)];
  const std::vector<double> found = fit_rows(h, yx, std::vector<double>(w.size(), 0.0), rows, n, 1e-12);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(found[i], w[i], 1e-8);
  // Samples that say nothing leave the start.
  const std::vector<double> kept = fit_rows(std::vector<double>(size_t(n * n), 0.0), std::vector<double>(w.size(), 0.0), w, rows, n, 1e-3);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(kept[i], w[i], 1e-9);
}

double error_of(const ReaderSystem& reader, const std::vector<double>& w) {
  double sum = 0;
  for (int64_t r = 0; r < reader.rows; ++r)
    for (int64_t i = 0; i < reader.n; ++i)
      for (int64_t j = 0; j < reader.n; ++j)
        sum += (w[size_t(r * reader.n + i)] - reader.weights[size_t(r * reader.n + i)]) * reader.covariance[size_t(i * reader.n + j)] *
               (w[size_t(r * reader.n + j)] - reader.weights[size_t(r * reader.n + j)]);
  return sum;
}

// The best weights without the columns of one candidate, by fitting the others to what all computed.
double error_without(const ReaderSystem& reader, size_t candidate) {
  std::vector<int64_t> rest;
  for (int64_t i = 0; i < reader.n; ++i)
    if (std::find(reader.columns[candidate].begin(), reader.columns[candidate].end(), i) == reader.columns[candidate].end()) rest.push_back(i);
  const auto m = int64_t(rest.size());
  std::vector<double> xx, yx(size_t(reader.rows * m), 0.0);
  for (int64_t i : rest)
    for (int64_t j : rest) xx.push_back(reader.covariance[size_t(i * reader.n + j)]);
  for (int64_t r = 0; r < reader.rows; ++r)
    for (int64_t k = 0; k < m; ++k)
      for (int64_t j = 0; j < reader.n; ++j) yx[size_t(r * m + k)] += reader.weights[size_t(r * reader.n + j)] * reader.covariance[size_t(j * reader.n + rest[size_t(k)])];
  const std::vector<double> fitted = fit_rows(xx, yx, std::vector<double>(yx.size(), 0.0), reader.rows, m, 1e-12);
  std::vector<double> w(reader.weights.size(), 0.0);
  for (int64_t r = 0; r < reader.rows; ++r)
    for (int64_t k = 0; k < m; ++k) w[size_t(r * reader.n + rest[size_t(k)])] = fitted[size_t(r * m + k)];
  return error_of(reader, w);
}

TEST(LeastSquares, RemovesTheBlockThatCostsLeast) {
  ReaderSystem reader;
  reader.n = 12, reader.rows = 4;
  reader.weights = random_values(48, 5);
  reader.covariance = moments(12, 6);
  for (int64_t c = 0; c < 4; ++c) reader.columns.push_back({3 * c, 3 * c + 1, 3 * c + 2});
  size_t best = 0;
  for (size_t c = 1; c < 4; ++c)
    if (error_without(reader, c) < error_without(reader, best)) best = c;
  const std::vector<double> nothing(48, 0.0);
  const Removals removals = order_removals({reader}, 4, 2);
  ASSERT_EQ(removals.order.size(), 2u);
  EXPECT_EQ(removals.order[0], best);
  // The solver's damping lets the two differ by a little.
  EXPECT_NEAR(removals.loss[0], error_without(reader, best) / error_of(reader, nothing), 0.02 * removals.loss[0]);
  EXPECT_GT(removals.loss[1], removals.loss[0]);
  ASSERT_EQ(removals.probe, 1u);
  EXPECT_NEAR(error_of(reader, removals.probe_weights[0]), error_without(reader, best), 0.02 * error_without(reader, best));
}

}  // namespace
}  // namespace pare
