#include "measure/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace pare {
namespace {

// Wilson's bounds are the proportions p for which the observed one lies exactly z standard errors away.
TEST(Statistics, WilsonInterval) {
  for (const auto& [right, count] : {std::pair<int64_t, int64_t>{932, 1017}, {3, 7}, {1, 1000}}) {
    const Interval interval = wilson_interval(right, count);
    const double observed = double(right) / double(count);
    EXPECT_LT(interval.low, observed);
    EXPECT_GT(interval.high, observed);
    for (double p : {interval.low, interval.high})
      EXPECT_NEAR(std::abs(observed - p) / std::sqrt(p * (1 - p) / double(count)), 1.959964, 1e-6);
  }
  EXPECT_EQ(wilson_interval(0, 10).low, 0);
  EXPECT_NEAR(wilson_interval(0, 10).high, 0.2775, 1e-4);
  EXPECT_EQ(wilson_interval(10, 10).high, 1);
}

// Newcombe 1998, table of examples. The second has a positive correlation, which the continuity correction lowers.
TEST(Statistics, PairedInterval) {
  const Interval interval = paired_interval({36, 12, 2, 0});
  EXPECT_NEAR(interval.low, 0.0569, 1e-4);
  EXPECT_NEAR(interval.high, 0.3404, 1e-4);
  const Interval correlated = paired_interval({20, 12, 2, 16});
  EXPECT_NEAR(correlated.low, 0.0562, 1e-4);
  EXPECT_NEAR(correlated.high, 0.3292, 1e-4);
  const Interval same = paired_interval({100, 0, 0, 10});
  EXPECT_LE(same.low, 0);
  EXPECT_GE(same.high, 0);
}

TEST(Statistics, McNemarIsExact) {
  EXPECT_EQ(mcnemar_p_value(0, 0), 1);
  EXPECT_NEAR(mcnemar_p_value(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_p_value(2, 12), 2.0 * (1 + 14 + 91) / 16384, 1e-12);
  EXPECT_EQ(mcnemar_p_value(7, 7), 1);
  EXPECT_NEAR(mcnemar_p_value(3, 9), mcnemar_p_value(9, 3), 1e-15);
  EXPECT_GT(mcnemar_p_value(5000, 5100), 0.3);  // 2^-10100 alone leaves double's range
}

TEST(Statistics, Percentiles) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(percentile({1, 2, 3, 4, 5}, 0.95), 4.8);
}

TEST(Statistics, BootstrapRepeatsAndCoversTheMean) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const auto mean = [&](std::span<const int64_t> indices) {
    double sum = 0;
    for (int64_t i : indices) sum += values[size_t(i)];
    return sum / double(indices.size());
  };
  const Interval first = bootstrap_interval(10, 3, mean), second = bootstrap_interval(10, 3, mean);
  EXPECT_EQ(first.low, second.low);
  EXPECT_EQ(first.high, second.high);
  // Standard error 0.91: about 5.5 ± 1.8.
  EXPECT_NEAR(first.low, 3.7, 0.4);
  EXPECT_NEAR(first.high, 7.3, 0.4);
}

}  // namespace
}  // namespace pare
