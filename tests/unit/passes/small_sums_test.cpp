// Weights whose products can be added in 16 bits.
#include "passes/solvers/small_sums.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "codecs/codecs.h"
#include "support/networks.h"

namespace pare {
namespace {

// Sums of weights 0, 1, 4, 5 and 2, 3, 6, 7 of every eight of a row, by sign: the largest.
int largest_sum(const WeightOrder& order, const std::vector<int32_t>& levels) {
  int largest = 0;
  for (size_t row = 0; row < order.offsets.size(); row += size_t(order.row))
    for (size_t first = 0; first < size_t(order.row); first += 8)
      for (int half : {0, 1})
        for (int sign : {1, -1}) {
          int sum = 0;
          for (size_t i = 0; i < 8 && first + i < size_t(order.row); ++i)
            if (int(i / 2 % 2) == half) sum += std::max(0, sign * levels[size_t(order.offsets[row + first + i])]);
          largest = std::max(largest, sum);
        }
  return largest;
}

double squared_error(const std::vector<float>& w, const std::vector<int32_t>& levels, float scale) {
  double error = 0;
  for (size_t i = 0; i < w.size(); ++i) error += std::pow(w[i] - levels[i] * double(scale), 2);
  return error;
}

TEST(SmallSums, OrderIsThatOfARowOfTheKernel) {
  const WeightOrder conv = weight_order(std::vector<int64_t>{5, 3, 2, 4}, 0);
  EXPECT_EQ(conv.row, 12);
  ASSERT_EQ(conv.offsets.size(), 24u);
  EXPECT_EQ(conv.offsets[1], 8) << "the next input of the same tap";
  EXPECT_EQ(conv.offsets[3], 1) << "the next tap";
  EXPECT_EQ(conv.offsets[12], 4) << "the next row";
  const WeightOrder matrix = weight_order(std::vector<int64_t>{7, 3}, 1);
  EXPECT_EQ(matrix.row, 7);
  EXPECT_EQ(matrix.offsets[2], 6);
}

TEST(SmallSums, FitAndStayNear) {
  for (const std::vector<int64_t>& dims : {std::vector<int64_t>{1, 16, 3, 3}, {1, 3, 7, 7}, {1, 20, 1, 1}, {1, 37}}) {
    const WeightOrder order = weight_order(dims, 0);
    std::vector<float> w = testing::random_array(dims, 3).to_floats();
    float largest = 0;
    for (float v : w) largest = std::max(largest, std::abs(v));
    const float first = largest / 127;
    float scale = first;
    std::vector<int32_t> levels(w.size());
    round_to_small_sums(w, order, scale, levels);
    EXPECT_LE(largest_sum(order, levels), 128);
    EXPECT_GE(scale, 0.98f * first);
    EXPECT_LE(scale, 4.08f * first);
    // A quarter of the range always fits; half of it may not.
    std::vector<int32_t> coarse(w.size());
    for (size_t i = 0; i < w.size(); ++i) coarse[i] = int32_t(std::nearbyint(w[i] / (4 * first)));
    EXPECT_LT(squared_error(w, levels, scale), 0.5 * squared_error(w, coarse, 4 * first));
  }
}

// A stack of matrices is no matrix, and one output's only input needs no sum.
TEST(SmallSums, OnlyOfWeightsWhoseOrderIsKnown) {
  EXPECT_TRUE(weight_order(std::vector<int64_t>{2, 64, 32}, 2).offsets.empty());
  EXPECT_TRUE(weight_order(std::vector<int64_t>{8, 1, 3, 3}, 0).offsets.empty()) << "depthwise";
}

TEST(SmallSums, WholeWeightsThatFitAreKept) {
  const WeightOrder order = weight_order(std::vector<int64_t>{1, 8, 1, 1}, 0);
  const std::vector<float> w{254, 2, -6, 4, -200, -54, 120, 120};
  float scale = 2;
  std::vector<int32_t> levels(8);
  round_to_small_sums(w, order, scale, levels);
  EXPECT_EQ(scale, 2);
  EXPECT_EQ(levels, (std::vector<int32_t>{127, 1, -3, 2, -100, -27, 60, 60}));
}

// Against all levels there are, under the scale that was chosen.
TEST(SmallSums, NoOtherLevelsOfFourAreBetter) {
  const WeightOrder order = weight_order(std::vector<int64_t>{1, 6, 1, 1}, 0);
  for (const std::vector<float>& w :
       {std::vector<float>{90.4f, 80.3f, 0, 0, 70.2f, 33.3f}, {-90.5f, -80.3f, 0, 0, 70.2f, -61.7f}}) {
    float scale = 1;
    std::vector<int32_t> levels(6);
    round_to_small_sums(w, order, scale, levels);
    const double error = squared_error(w, levels, scale);
    double best = INFINITY;
    const auto around = [&](size_t i, int d) { return int32_t(std::lround(w[i] / scale)) - (w[i] > 0 ? d : -d); };
    for (int a = 0; a < 24; ++a)
      for (int b = 0; b < 24; ++b)
        for (int c = 0; c < 24; ++c)
          for (int d = 0; d < 24; ++d) {
            const std::vector<int32_t> tried{around(0, a), around(1, b), 0, 0, around(4, c), around(5, d)};
            int up = 0, down = 0;
            for (int32_t v : tried) (v > 0 ? up : down) += std::abs(v);
            if (up <= 128 && down <= 128) best = std::min(best, squared_error(w, tried, scale));
          }
    EXPECT_NEAR(error, best, 1e-6 * best);
  }
}

}  // namespace
}  // namespace pare
