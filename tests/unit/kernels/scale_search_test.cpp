#include "kernels/scale_search/scale_search.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace pare {
namespace {

constexpr int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr ScaleLevels kTypes[] = {{-8, 7}, {-16, 15}, {-127, 127}, {0, 3}, {-127, 113, kTable}};

std::vector<float> normals(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

double nearest(const ScaleLevels& levels, double x) {
  if (levels.table == nullptr) return std::nearbyint(std::clamp(x, double(levels.least), double(levels.most)));
  double best = levels.table[0];
  for (int i = 1; i < 16; ++i)
    if (std::abs(levels.table[i] - x) < std::abs(best - x)) best = levels.table[i];
  return best;
}

// Every kernel finds the bits that the plain one does, and these are the best trial's by the definition in double.
TEST(ScaleSearch, FindsTheBestTrial) {
  for (const ScaleLevels& levels : kTypes)
    for (const int64_t count : {1, 16, 31, 32, 33, 576}) {
      const std::vector<float> values = normals(size_t(count), 3), steps = [&] {
        std::vector<float> all;
        for (int t = 0; t < 48; ++t) all.push_back((t % 2 == 0 ? 1.f : -1.f) * (0.5f + 0.05f * float(t)) * 3.f / std::max(levels.most, -levels.least));
        return all;
      }();
      std::vector<float> weights = normals(size_t(count), 4);
      for (float& weight : weights) weight *= weight;
      double least = INFINITY;
      for (const float step : steps) {
        double squares = 0, along = 0, rest = 0;
        for (int64_t i = 0; i < count; ++i) {
          const double level = nearest(levels, values[size_t(i)] * (1.f / step)), miss = values[size_t(i)] - step * level, w = weights[size_t(i)];
          squares += w * level * level;
          along += w * level * miss;
          rest += w * miss * miss;
        }
        least = std::min(least, rest - (squares > 0 ? along * along / squares : 0));
      }
      const ScaleTrials trials{levels, values.data(), weights.data(), count, steps.data(), 48};
      const SettledScale plain = scale_search_kernels().back().search(trials);
      EXPECT_NEAR(plain.error, least, 1e-5 * least + 1e-6) << count;
      for (const ScaleSearchKernel& kernel : scale_search_kernels()) {
        if (!kernel.supported()) continue;
        const SettledScale found = kernel.search(trials);
        EXPECT_EQ(found.step, plain.step) << kernel.name;
        EXPECT_EQ(found.error, plain.error) << kernel.name;
      }
    }
}

// Of equal trials the first; where no error is a number, none.
TEST(ScaleSearch, TiesAndValuesThatAreNoNumbers) {
  std::vector<float> steps(32, 2.f), values{NAN, 1}, weights{1, 1};
  steps[0] = 1;  // 2 is one step of 2, too
  for (const ScaleSearchKernel& kernel : scale_search_kernels()) {
    if (!kernel.supported()) continue;
    EXPECT_EQ(kernel.search({kTypes[0], values.data(), weights.data(), 2, steps.data(), 32}).error, INFINITY) << kernel.name;
    const float two = 2;
    const SettledScale found = kernel.search({kTypes[0], &two, weights.data(), 1, steps.data(), 32});
    EXPECT_EQ(found.step, 1) << kernel.name;
    EXPECT_EQ(found.error, 0) << kernel.name;
  }
}

TEST(ScaleSearch, RoundsToTheNearestLevel) {
  for (const ScaleLevels& levels : kTypes)
    for (const int64_t count : {1, 15, 16, 33}) {
      std::vector<float> values = normals(size_t(count), 5);
      values[0] = 1e9f;
      for (const ScaleSearchKernel& kernel : scale_search_kernels()) {
        if (!kernel.supported()) continue;
        std::vector<int8_t> found(size_t(count) + 1, 99);
        kernel.round(levels, values.data(), count, 7.5f, 0.25f, found.data());
        EXPECT_EQ(found.back(), 99) << kernel.name;
        for (int64_t i = 0; i < count; ++i) EXPECT_EQ(found[size_t(i)], nearest(levels, (values[size_t(i)] + 0.25f) * 7.5f)) << kernel.name << " " << i;
      }
    }
}

}  // namespace
}  // namespace pare
