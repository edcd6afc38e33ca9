#include <gtest/gtest.h>

#include <cmath>

#include "measure/picture_quality.h"
#include "measure/tasks/task.h"

namespace pare {
namespace {

// The same bytes as picture() of tools/record_picture_quality.py.
Image noisy_ramp(int64_t height, int64_t width, uint32_t seed) {
  Image image{height, width, 3, {}};
  uint32_t state = seed;
  for (int64_t i = 0; i < height * width * 3; ++i) {
    state = state * 1664525u + 1013904223u;
    image.values.push_back(uint8_t((uint64_t(i) * 3 + (state >> 26)) % 256));
  }
  return image;
}

TEST(PictureQuality, AgreesWithSciPy) {
#define QUALITY(height, width, border, decibels, similarity)                         \
  {                                                                                  \
    const Luma a = luma_of(noisy_ramp(height, width, 1), border),                    \
               b = luma_of(noisy_ramp(height, width, 2), border);                    \
    EXPECT_NEAR(psnr(a, b), decibels, 1e-9);                                         \
    EXPECT_NEAR(ssim(a, b), similarity, 1e-9) << height << "x" << width;             \
  }
#include "picture_quality_golden.inc"
#undef QUALITY
}

TEST(PictureQuality, KnownByHand) {
  Image black{12, 12, 3, std::vector<uint8_t>(432, 0)}, white{12, 12, 1, std::vector<uint8_t>(144, 255)};
  EXPECT_NEAR(luma_of(black, 0).values[0], 16, 1e-12);
  EXPECT_NEAR(luma_of(white, 0).values[0], 235, 1e-12);
  EXPECT_NEAR(psnr(luma_of(black, 0), luma_of(white, 0)), 20 * std::log10(255.0 / 219), 1e-12);
  EXPECT_EQ(psnr(luma_of(white, 0), luma_of(white, 0)), 100);
  EXPECT_NEAR(ssim(luma_of(white, 0), luma_of(white, 0)), 1, 1e-12);
  EXPECT_TRUE(luma_of(black, 6).values.empty());
}

// Twice the size: every pixel four times.
class Pictures : public Samples {
 public:
  explicit Pictures(Dims sizes) : sizes_(std::move(sizes)) {}
  int64_t size() const override { return int64_t(sizes_.size()); }
  Sample get(int64_t i) const override { return {{Preprocess{}.apply(noisy_ramp(sizes_[size_t(i)], 14, 5), "x")}, -1}; }
  Truth truth(int64_t i) const override {
    return {"picture " + std::to_string(i), enlarged(noisy_ramp(sizes_[size_t(i)], 14, 5))};
  }
  static Image enlarged(const Image& image) {
    return resize(image, image.height * 2, image.width * 2, Interpolation::nearest);
  }

 private:
  Dims sizes_;
};

DataSet pictures(Dims sizes) {
  DataSet data;
  data.path = "test.toml";
  data.task = "restore";
  data.test = std::make_shared<Pictures>(std::move(sizes));
  data.fixed_size = false;
  return data;
}

Quality judge_outputs(const DataSet& data, const std::function<Array(int64_t)>& output) {
  const auto judge = find_task("restore").start(data, 1);
  const std::vector<int64_t> labels = {-1};
  for (int64_t i = 0; i < data.test->size(); ++i) {
    const std::vector<int64_t> samples = {i};
    const std::vector<Array> inputs = data.test->get(i).inputs,
                             outputs = {Array::of<float>({1, 7}, std::vector<float>(7)), output(i)};
    judge->see({labels, outputs, {}, false, samples, inputs, {}});
  }
  return judge->finish();
}

TEST(Restore, PerfectPicturesAndTheirBorder) {
  const DataSet data = pictures({14, 16});
  const Quality perfect = judge_outputs(
      data, [&](int64_t i) { return Preprocess{}.apply(data.test->truth(i).picture, "x"); });
  EXPECT_EQ(perfect.metric.name, "psnr_y");
  EXPECT_EQ(perfect.metric.value, 100);
  EXPECT_EQ(perfect.metric.count, 2);
  ASSERT_EQ(perfect.more.size(), 1u);
  EXPECT_NEAR(perfect.more[0].value, 1, 1e-12);
  // What is wrong in the two outermost pixels is not judged at scale 2; further in it is.
  for (const int64_t depth : {1, 2}) {
    const Quality spoiled = judge_outputs(data, [&](int64_t i) {
      Array array = Preprocess{}.apply(data.test->truth(i).picture, "x");
      array.mutable_values<float>()[size_t(depth * array.dim(3) + 9)] += 40;  // row `depth`, red
      return array;
    });
    EXPECT_EQ(spoiled.metric.value == 100, depth == 1);
    const auto paired = compare_quality(spoiled, perfect);
    ASSERT_TRUE(paired);
    EXPECT_EQ(paired->test, "paired bootstrap");
    EXPECT_EQ(paired->worse, depth == 1 ? 0 : 2);
    EXPECT_EQ(paired->difference < 0, depth == 2);
  }
}

TEST(Restore, OutputsAreClippedAndRounded) {
  const DataSet data = pictures({14});
  const Quality quality = judge_outputs(data, [&](int64_t i) {
    Array array = Preprocess{}.apply(data.test->truth(i).picture, "x");
    for (float& v : array.mutable_values<float>()) v = v == 0 ? -80.0f : v == 255 ? 1e9f : v + 0.4f;
    return array;
  });
  EXPECT_EQ(quality.metric.value, 100);
}

TEST(Restore, OtherSizesAreErrors) {
  const DataSet data = pictures({14});
  for (const Dims& dims : {Dims{1, 3, 14, 14}, Dims{1, 3, 30, 28}, Dims{1, 5, 28, 28}, Dims{28}})
    EXPECT_THROW(judge_outputs(data, [&](int64_t) { return Array(Type::f32, dims); }), Error) << dims_text(dims);
}

TEST(Preprocess, InvertIsTheWayBack) {
  Image image = noisy_ramp(5, 4, 9);
  for (const bool last : {false, true})
    for (const auto channels : {Preprocess::Channels::rgb, Preprocess::Channels::bgr, Preprocess::Channels::gray}) {
      Preprocess how;
      how.channels_last = last;
      how.channels = channels;
      how.scale = 1 / 255.0;
      how.mean = {0.5};
      how.std = {0.25};
      const Image back = how.invert(how.apply(image, "x"), "x");
      EXPECT_EQ(back.values, channels == Preprocess::Channels::gray ? to_gray(image).values : image.values);
    }
}

}  // namespace
}  // namespace pare
