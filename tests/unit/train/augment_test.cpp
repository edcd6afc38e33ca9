// What happens to pictures on their way into training.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/networks.h"
#include "train/torch/batches.h"

namespace pare {
namespace {

constexpr int64_t kSide = 28, kPlane = kSide * kSide;

TrainingBatch pictures_of(const std::vector<int64_t>& samples) {
  TrainingBatch batch;
  Array all(Type::f32, {int64_t(samples.size()), 2, kSide, kSide});
  auto out = all.mutable_values<float>();
  for (size_t i = 0; i < samples.size(); ++i) {
    const Array picture = testing::random_array({1, 2, kSide, kSide}, uint64_t(samples[i]) + 1);
    std::ranges::copy(picture.values<float>(), out.begin() + int64_t(i) * 2 * kPlane);
  }
  batch.inputs = {all};
  batch.contents = samples;
  return batch;
}

std::span<const float> plane_of(const TrainingBatch& batch, size_t sample, int64_t channel) {
  return batch.inputs[0].values<float>().subspan(size_t(int64_t(sample) * 2 + channel) * kPlane, size_t(kPlane));
}

TEST(Augment, FollowsFromTheSampleAndTheSeedWhicheverBatchItIsIn) {
  for (const char* how : {"flip", "shift", "flip-shift", "flip-shift-erase"}) {
    TrainingBatch all = pictures_of({3, 4, 5, 6, 7, 8}), part = pictures_of({7, 4});
    augment(all, how, 5);
    augment(part, how, 5);
    EXPECT_TRUE(std::ranges::equal(plane_of(all, 4, 1), plane_of(part, 0, 1))) << how;
    EXPECT_TRUE(std::ranges::equal(plane_of(all, 1, 0), plane_of(part, 1, 0))) << how;
    int alike = 0;
    for (uint64_t seed = 6; seed < 26; ++seed) {
      TrainingBatch other = pictures_of({7, 4});
      augment(other, how, seed);
      alike += std::ranges::equal(plane_of(other, 0, 0), plane_of(part, 0, 0));
    }
    EXPECT_LT(alike, 18) << how;  // mirrored or not is all that flip can do
  }
}

// In about half of the pictures a square, the same in both channels, holds the channel's mean; outside it nothing differs from what
// the same numbers give without erasing.
TEST(Augment, ErasesSquaresOfAboutHalf) {
  std::vector<int64_t> samples(200);
  std::iota(samples.begin(), samples.end(), int64_t(0));
  TrainingBatch whole = pictures_of(samples), erased = pictures_of(samples);
  const TrainingBatch original = pictures_of(samples);
  augment(whole, "flip-shift", 9);
  augment(erased, "flip-shift-erase", 9);
  EXPECT_TRUE(erased.contents.empty());  // too many pictures to remember a teacher's answers
  int with = 0;
  int64_t least = kPlane, most = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    std::vector<int64_t> blank[2];
    for (int64_t c = 0; c < 2; ++c) {
      const auto before = plane_of(whole, i, c), after = plane_of(erased, i, c), from = plane_of(original, i, c);
      const float mean = std::accumulate(from.begin(), from.end(), 0.0f) / float(kPlane);
      for (int64_t p = 0; p < kPlane; ++p)
        if (before[size_t(p)] != after[size_t(p)]) {
          EXPECT_FLOAT_EQ(after[size_t(p)], mean);
          blank[c].push_back(p);
        }
    }
    EXPECT_EQ(blank[0], blank[1]);
    if (blank[0].empty()) continue;
    ++with;
    const int64_t height = blank[0].back() / kSide - blank[0].front() / kSide + 1, width = int64_t(blank[0].size()) / height;
    EXPECT_EQ(height * width, int64_t(blank[0].size()));
    EXPECT_LE(std::max(height, width), 12);
    least = std::min(least, height * width);
    most = std::max(most, height * width);
  }
  EXPECT_GT(with, 70);
  EXPECT_LT(with, 130);
  EXPECT_LE(least, 36);
  EXPECT_EQ(most, 144);
}

}  // namespace
}  // namespace pare
