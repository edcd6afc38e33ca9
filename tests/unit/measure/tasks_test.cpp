#include <gtest/gtest.h>

#include <cmath>

#include "measure/tasks/task.h"

namespace pare {
namespace {

JudgedBatch batch_of(const std::vector<int64_t>& labels, const std::vector<Array>& outputs,
                     const std::vector<Array>& baseline = {}) {
  return {labels, outputs, baseline, true};
}

TEST(Classify, CountsTop1AndIgnoresFilling) {
  DataSet data;
  const auto judge = find_task("classify").start(data, 1);
  const std::vector<int64_t> labels = {2, 0};
  const std::vector<Array> outputs = {Array::of<float>({3, 3}, {0, 1, 2, 1, 5, 2, 9, 9, 9})};
  judge->see(batch_of(labels, outputs));
  const Quality quality = judge->finish();
  EXPECT_EQ(quality.metric.name, "top1");
  EXPECT_EQ(quality.metric.value, 0.5);
  EXPECT_EQ(quality.metric.count, 2);
  EXPECT_EQ(quality.correct, (std::vector<char>{1, 0}));
  EXPECT_TRUE(quality.more.empty()) << "top-5 of 3 classes";
}

TEST(Classify, Top5FromTenClasses) {
  DataSet data;
  const auto judge = find_task("classify").start(data, 1);
  std::vector<float> scores(10);
  for (size_t i = 0; i < 10; ++i) scores[i] = float(i);
  const std::vector<Array> outputs = {Array::of<float>({1, 10}, scores)};
  for (int64_t label : {9, 5, 4}) {
    const std::vector<int64_t> labels = {label};
    judge->see(batch_of(labels, outputs));
  }
  const Quality quality = judge->finish();
  ASSERT_EQ(quality.more.size(), 1u);
  EXPECT_NEAR(quality.metric.value, 1.0 / 3, 1e-12);
  EXPECT_NEAR(quality.more[0].value, 2.0 / 3, 1e-12);
}

TEST(Classify, NaNAndTiesAreNotRight) {
  DataSet data;
  const auto judge = find_task("classify").start(data, 1);
  const std::vector<int64_t> labels = {1, 0, 1};
  const std::vector<Array> outputs = {Array::of<float>({3, 2}, {1, NAN, NAN, NAN, 4, 4})};
  judge->see(batch_of(labels, outputs));
  EXPECT_EQ(judge->finish().correct, (std::vector<char>{0, 0, 0}));
}

TEST(Classify, RefusesLabelsTheModelCannotTell) {
  DataSet data;
  const auto judge = find_task("classify").start(data, 1);
  const std::vector<int64_t> labels = {3};
  const std::vector<Array> outputs = {Array::of<float>({1, 3}, {1, 2, 3})};
  EXPECT_THROW(judge->see(batch_of(labels, outputs)), Error);
}

TEST(Compare, SameOutputsAreExact) {
  DataSet data;
  const auto judge = find_task("compare").start(data, 1);
  const std::vector<int64_t> labels = {-1, -1};
  const std::vector<Array> outputs = {Array::of<float>({2, 2}, {1, 2, 4, 3})};
  judge->see(batch_of(labels, outputs, outputs));
  const Quality quality = judge->finish();
  EXPECT_EQ(quality.metric.name, "agreement");
  EXPECT_EQ(quality.metric.value, 1);
  EXPECT_TRUE(std::isinf(quality.more[0].value));
  EXPECT_NEAR(quality.more[1].value, 1, 1e-12);
}

TEST(Compare, SqnrOfKnownNoise) {
  DataSet data;
  const auto judge = find_task("compare").start(data, 1);
  const std::vector<int64_t> labels = {-1, -1};
  const std::vector<Array> ours = {Array::of<float>({2, 2}, {11, 0, 0, 9})},
                           theirs = {Array::of<float>({2, 2}, {10, 0, 0, 10})};
  judge->see(batch_of(labels, ours, theirs));
  const Quality quality = judge->finish();
  EXPECT_EQ(quality.more[0].name, "sqnr_db");
  EXPECT_NEAR(quality.more[0].value, 20, 1e-9);  // 200 / 2
}

TEST(Quality, PairedTestNeedsTheSameSamples) {
  Quality ours, baseline;
  ours.correct = {1, 1, 0, 0};
  baseline.correct = {1, 0, 1, 0};
  const auto paired = compare_quality(ours, baseline);
  ASSERT_TRUE(paired);
  EXPECT_EQ(paired->better, 1);
  EXPECT_EQ(paired->worse, 1);
  EXPECT_EQ(paired->difference, 0);
  EXPECT_EQ(paired->p_value, 1);
  baseline.correct.pop_back();
  EXPECT_FALSE(compare_quality(ours, baseline));
}

TEST(Tasks, UnknownTaskNamesTheKnown) {
  try {
    find_task("sing");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("classify"), std::string::npos);
  }
}

// Two windows of three tokens over two words: probabilities 0.8 and 0.5, then 0.2 and 0.5; what fills the second up is not
// judged.
TEST(Language, PerplexityIsTheGeometricMeanOfWhatWasExpected) {
  struct Windows : Samples {
    int64_t size() const override { return 2; }
    int64_t length(int64_t index) const override { return index == 0 ? 3 : 2; }
    Sample get(int64_t) const override { return {}; }
  };
  DataSet data;
  data.test = std::make_shared<Windows>();
  const auto judge = find_task("language").start(data, 1);
  const float likely = std::log(4.f);  // 0.8 against 0.2
  const std::vector<Array> inputs = {Array::of<int64_t>({2, 3}, {0, 0, 1, 1, 1, 0})};
  const std::vector<Array> outputs = {Array::of<float>({2, 3, 2}, {likely, 0, 7, 7, 9, 9, likely, 0, -3, -3, 9, 9})};
  JudgedBatch batch = batch_of({}, outputs);
  const std::vector<int64_t> samples = {0, 1};
  batch.inputs = inputs;
  batch.samples = samples;
  judge->see(batch);
  const Quality quality = judge->finish();
  EXPECT_EQ(quality.metric.name, "perplexity");
  EXPECT_FALSE(quality.metric.higher_is_better);
  EXPECT_NEAR(quality.metric.value, std::pow(0.8 * 0.5 * 0.2, -1.0 / 3), 1e-5);
  EXPECT_NEAR(quality.over_samples(std::vector<int64_t>{1, 1}), 1 / 0.2, 1e-4);
}

}  // namespace
}  // namespace pare
