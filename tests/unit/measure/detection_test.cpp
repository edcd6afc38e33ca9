#include "measure/detection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace pare {
namespace {

// The same numbers and scenes as tools/record_average_precision.py.
struct Numbers {
  uint32_t state;
  int64_t below(uint32_t n) {
    state = state * 1664525u + 1013904223u;
    return int64_t((state >> 8) % n);
  }
};

struct Picture {
  std::vector<TrueBox> boxes;
  std::vector<Detection> found;
};

void add_found(Picture& picture, int64_t label, int64_t x, int64_t y, int64_t w, int64_t h, int64_t score) {
  picture.found.push_back({double(x), double(y), double(x + w), double(y + h), float(double(score) / 50), label});
}

int64_t half_down(int64_t x) {  // Python's //
  return x >= 0 ? x / 2 : -((1 - x) / 2);
}

std::vector<Picture> scene(uint32_t seed, int64_t pictures, uint32_t classes) {
  Numbers numbers{seed};
  std::vector<Picture> all(static_cast<size_t>(pictures));
  for (Picture& picture : all) {
    for (int64_t i = numbers.below(7); i > 0; --i) {
      const int64_t label = numbers.below(classes), x = numbers.below(200), y = numbers.below(200);
      const int64_t w = 5 + numbers.below(60), h = 5 + numbers.below(60);
      picture.boxes.push_back({double(x), double(y), double(x + w), double(y + h), label, numbers.below(10) == 0});
      for (int64_t k = numbers.below(3); k > 0; --k) {
        int64_t shift[4];
        for (int64_t& s : shift) s = numbers.below(9) - 4;
        const int64_t score = 10 + numbers.below(40);
        add_found(picture, label, x + shift[0], y + shift[1], w + half_down(shift[2]), h + half_down(shift[3]), score);
      }
    }
    for (int64_t i = numbers.below(4); i > 0; --i) {
      const int64_t label = numbers.below(classes), x = numbers.below(200), y = numbers.below(200);
      const int64_t w = 5 + numbers.below(60), h = 5 + numbers.below(60), score = numbers.below(40);
      add_found(picture, label, x, y, w, h, score);
    }
    std::stable_sort(picture.found.begin(), picture.found.end(),
                     [](const Detection& a, const Detection& b) { return a.score > b.score; });
  }
  return all;
}

std::vector<int64_t> all_of(int64_t count) {
  std::vector<int64_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), int64_t(0));
  return all;
}

PrecisionScore score_of(const std::vector<Picture>& pictures) {
  PrecisionScore score;
  for (const Picture& picture : pictures) score.see(picture.found, picture.boxes);
  score.sort();
  return score;
}

TEST(AveragePrecision, AgreesWithPycocotools) {
#define PRECISION(seed, pictures, classes, mean_precision, half, true_boxes, detections)              \
  {                                                                                                   \
    const std::vector<Picture> all = scene(seed, pictures, classes);                                  \
    size_t boxes = 0, found = 0;                                                                      \
    for (const Picture& picture : all) boxes += picture.boxes.size(), found += picture.found.size();  \
    EXPECT_EQ(boxes, true_boxes##u);                                                                  \
    EXPECT_EQ(found, detections##u);                                                                  \
    const PrecisionScore score = score_of(all);                                                       \
    EXPECT_NEAR(score.mean(all_of(pictures)), mean_precision, 1e-9) << "scene " << seed;              \
    EXPECT_NEAR(score.mean(all_of(pictures), 1), half, 1e-9) << "scene " << seed;                     \
  }
#include "average_precision_golden.inc"
#undef PRECISION
}

TEST(AveragePrecision, KnownByHand) {
  // Two boxes; the best detection misses, the second hits with IoU 0.8: precision 1/2 up to recall 1/2.
  const std::vector<TrueBox> boxes = {{0, 0, 10, 10, 0, false}, {50, 50, 60, 60, 0, false}};
  const std::vector<Detection> found = {{20, 20, 30, 30, 0.9f, 0}, {0, 0, 10, 8, 0.8f, 0}, {0, 0, 10, 10, 0.7f, 1}};
  const PrecisionScore score = score_of({{boxes, found}});
  EXPECT_NEAR(score.mean(all_of(1), 1), 51 * 0.5 / 101, 1e-12);
  EXPECT_NEAR(score.mean(all_of(1)), 0.7 * 51 * 0.5 / 101, 1e-12);  // right up to IoU 0.80, 7 of 10 thresholds
  EXPECT_EQ(score_of({{{}, found}}).mean(all_of(1)), 0) << "no boxes, no classes";
}

TEST(AveragePrecision, APictureDrawnTwiceIsTwoPictures) {
  const std::vector<Picture> all = scene(4, 8, 2);
  std::vector<Picture> twice;
  for (const int64_t i : {3, 3, 5, 0, 7}) twice.push_back(all[size_t(i)]);
  EXPECT_NEAR(score_of(all).mean(std::vector<int64_t>{3, 3, 5, 0, 7}), score_of(twice).mean(all_of(5)), 0.02)
      << "ties between copies aside";
  EXPECT_NEAR(score_of(all).mean(std::vector<int64_t>{5, 0, 7}), score_of({all[0], all[5], all[7]}).mean(all_of(3)), 1e-12);
}

TEST(Suppress, WithinAClassTheBestRemain) {
  const std::vector<Detection> boxes = {{0, 0, 10, 10, 0.5f, 0}, {0, 0, 10, 9, 0.9f, 0},  {0, 0, 10, 10, 0.4f, 1},
                                        {0, 0, 10, 4, 0.3f, 0},  {90, 0, 99, 9, 0.2f, 0}, {0, 0, 0, 0, 0.1f, 0}};
  const std::vector<Detection> kept = suppress(boxes, 0.65, 100);
  std::vector<float> scores;
  for (const Detection& box : kept) scores.push_back(box.score);
  EXPECT_EQ(scores, (std::vector<float>{0.9f, 0.4f, 0.3f, 0.2f, 0.1f}));
  EXPECT_EQ(suppress(boxes, 0.65, 2).size(), 2u);
  EXPECT_EQ(suppress(boxes, 1, 100).size(), boxes.size()) << "IoU 1 suppresses nothing";
}

}  // namespace
}  // namespace pare
