#include "passes/statistics/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace pare {
namespace {

// Values that fall off exponentially, of both signs or with all negative ones made zero as a ReLU does.
std::vector<float> values_of(bool relu, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(60000);
  for (float& v : values) {
    const float magnitude = -std::log(1 - 0.9999f * float(random.uniform()));
    v = random.uniform() < 0.5 ? magnitude : relu ? 0 : -magnitude;
  }
  return values;
}

// What rounding to 256 steps over the range does to them, value by value.
double true_error(const std::vector<float>& values, ValueRange range) {
  const double step = double(range.high - range.low) / 255;
  double sum = 0;
  for (float v : values) {
    const double back = std::clamp(std::nearbyint(v / step) * step, double(range.low), double(range.high));
    sum += (v - back) * (v - back);
  }
  return sum;
}

TEST(Histogram, TheLeastSquareErrorIsTheOneThatRoundingMakes) {
  for (const bool relu : {false, true}) {
    const std::vector<float> values = values_of(relu, 3);
    Histogram histogram;
    histogram.see(Array::of<float>({int64_t(values.size())}, values));
    double least = 1e300;
    for (int percent = 20; percent <= 100; ++percent)
      least = std::min(
          least, true_error(values, {histogram.low() * float(percent) / 100, histogram.high() * float(percent) / 100}));
    EXPECT_LT(true_error(values, choose_range(histogram, "mse", 0, 256)), 1.02 * least)
        << (relu ? "behind a ReLU" : "of both signs");
  }
}

TEST(Histogram, ValuesOutsideAreMergedIntoWiderBins) {
  Histogram histogram;
  histogram.see(Array::of<float>({3}, {0.f, 0.5f, 1.f}));
  histogram.see(Array::of<float>({2}, {-3.f, 100.f}));
  EXPECT_EQ(histogram.low(), -3);
  EXPECT_EQ(histogram.high(), 100);
  double counted = 0;
  for (double n : histogram.bins()) counted += n;
  EXPECT_EQ(counted, 5);
  const ValueRange all = choose_range(histogram, "minmax", 0, 256);
  EXPECT_EQ(all.low, -3);
  EXPECT_EQ(all.high, 100);
}

}  // namespace
}  // namespace pare
