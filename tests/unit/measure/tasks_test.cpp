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

// Texts of so many tokens, judged behind so many.
struct Texts : Samples {
  struct Text {
    int64_t length, given = 0;
    std::optional<Truth::Choice> choice = std::nullopt;
  };
  explicit Texts(std::vector<Text> all) : texts(std::move(all)) {}
  int64_t size() const override { return int64_t(texts.size()); }
  int64_t length(int64_t index) const override { return texts[size_t(index)].length; }
  Sample get(int64_t index) const override {
    Sample sample;
    sample.given = texts[size_t(index)].given;
    return sample;
  }
  Truth truth(int64_t index) const override {
    Truth truth;
    truth.choice = texts[size_t(index)].choice;
    return truth;
  }
  std::vector<Text> texts;
};

Quality judged(const std::string& task, const DataSet& data, const std::vector<int64_t>& samples, const Array& ids,
               const Array& scores, const std::vector<Array>& baseline = {}) {
  const auto judge = find_task(task).start(data, 1);
  const std::vector<Array> outputs = {scores}, inputs = {ids};
  JudgedBatch batch = batch_of({}, outputs, baseline);
  batch.inputs = inputs;
  batch.samples = samples;
  judge->see(batch);
  return judge->finish();
}

TEST(Language, TokensOfTheContextAreNotJudged) {
  DataSet data;
  data.test = std::make_shared<Texts>(std::vector<Texts::Text>{{3}, {3, 2}});
  const float likely = std::log(4.f);
  const Array ids = Array::of<int64_t>({2, 3}, {0, 0, 1, 0, 0, 1});
  const Array scores = Array::of<float>({2, 3, 2}, {likely, 0, 7, 7, 9, 9, 50, 0, likely, 0, 9, 9});
  const Quality quality = judged("language", data, {0, 1}, ids, scores);
  EXPECT_NEAR(quality.metric.value, std::pow(0.8 * 0.5 * 0.2, -1.0 / 3), 1e-5);
  EXPECT_TRUE(quality.more.empty()) << "there is no baseline";
  // Surprises 1.6·2 of the first window (-ln 0.8 - ln 0.5), 1 of the second (-ln 0.2): a ratio of sums.
  const double first = -std::log(0.4), second = -std::log(0.2), mean = (first + second) / 3;
  const double error = std::sqrt(2 * (std::pow(first - 2 * mean, 2) + std::pow(second - mean, 2))) / 3;
  EXPECT_NEAR(quality.metric.standard_error, quality.metric.value * error, 1e-5);
}

TEST(Language, DivergenceAndAgreementWithTheBaseline) {
  DataSet data;
  data.test = std::make_shared<Texts>(std::vector<Texts::Text>{{3}, {2}});
  const Array ids = Array::of<int64_t>({2, 3}, {0, 0, 1, 1, 1, 0});
  // Of the baseline: 0.8, 0.5 and 0.2 for token 0; of the model 0.5, 0.5 and 0.8.
  const float up = std::log(4.f);
  const Array base = Array::of<float>({2, 3, 2}, {up + 5, 5, 1, 1, 0, 0, 0, up, 0, 0, 0, 0});
  const Array model = Array::of<float>({2, 3, 2}, {2, 2, 3, 3, 0, 0, up, 0, 0, 0, 0, 0});
  const Quality quality = judged("language", data, {0, 1}, ids, model, {base});
  ASSERT_EQ(quality.more.size(), 2u);
  const double first = 0.8 * std::log(0.8 / 0.5) + 0.2 * std::log(0.2 / 0.5),
               third = 0.2 * std::log(0.2 / 0.8) + 0.8 * std::log(0.8 / 0.2);
  EXPECT_EQ(quality.more[0].name, "kl_divergence");
  EXPECT_FALSE(quality.more[0].higher_is_better);
  EXPECT_NEAR(quality.more[0].value, (first + third) / 3, 1e-6);
  EXPECT_TRUE(std::isfinite(quality.more[0].standard_error));
  EXPECT_EQ(quality.more[1].name, "top1_agreement");
  EXPECT_NEAR(quality.more[1].value, 2.0 / 3, 1e-12);  // the first of equals is the most probable
  const Quality same = judged("language", data, {0, 1}, ids, base, {base});
  EXPECT_NEAR(same.more[0].value, 0, 1e-12);
  EXPECT_EQ(same.more[1].value, 1);
  const Quality other = judged("language", data, {0, 1}, ids, model, {Array(Type::f32, {2, 3, 5})});
  EXPECT_TRUE(other.more.empty()) << "of another vocabulary";
}

TEST(MultipleChoice, TheMostProbableAnswerIsChosen) {
  DataSet data;
  using Choice = Truth::Choice;
  // Two questions of two answers each; sample 3 comes before sample 2, and what fills up is not looked at.
  data.test = std::make_shared<Texts>(std::vector<Texts::Text>{{3, 2, Choice{0, 1, true}},
                                                               {4, 2, Choice{0, 10, false}},
                                                               {2, 1, Choice{1, 1, false}},
                                                               {2, 1, Choice{1, 1, true}}});
  const Array ids = Array::of<int64_t>({4, 4}, {0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 0});
  // Token 1 has 0.5 behind the first question, and 0.8 twice: more probable, but not the right answer.
  const float up = std::log(4.f);
  const Array scores = Array::of<float>(
      {4, 4, 2}, {9, 0, 0, 0, 9, 9, 0, 0, 9, 0, 0, up, 0, up, 0, 0, up, 0, 0, 0, 0, 0, 0, 0, up, 0, 0, 0, 0, 0, 0, 0});
  const Quality quality = judged("multiple-choice", data, {0, 1, 3, 2}, ids, scores);
  EXPECT_EQ(quality.metric.name, "accuracy");
  // Question 1: ln 0.5 against 2 ln 0.8, of one byte and ten: wrong both ways. Question 2: sample 3 (token 0: 0.8)
  // against sample 2 (token 1: 0.2); the third row of the batch is sample 3.
  EXPECT_EQ(quality.correct, (std::vector<char>{0, 1}));
  EXPECT_EQ(quality.metric.value, 0.5);
  EXPECT_EQ(quality.metric.count, 2);
  ASSERT_EQ(quality.more.size(), 1u);
  EXPECT_EQ(quality.more[0].name, "accuracy_by_length");
}

TEST(MultipleChoice, LengthTakesItsAdvantageAway) {
  DataSet data;
  data.test = std::make_shared<Texts>(
      std::vector<Texts::Text>{{2, 1, Truth::Choice{0, 1, false}}, {3, 1, Truth::Choice{0, 4, true}}});
  const Array ids = Array::of<int64_t>({2, 3}, {0, 1, 0, 0, 1, 1});
  const Array scores(Type::f32, {2, 3, 2});  // 0.5 a token
  const Quality quality = judged("multiple-choice", data, {0, 1}, ids, scores);
  EXPECT_EQ(quality.metric.value, 0);
  EXPECT_EQ(quality.more[0].value, 1);  // 2 ln 0.5 / 4 against ln 0.5 / 1
}

TEST(MultipleChoice, AQuestionNeedsAllItsAnswers) {
  DataSet data;
  data.path = "d.toml";
  data.test = std::make_shared<Texts>(std::vector<Texts::Text>{{2, 1, Truth::Choice{0, 1, false}}, {2, 1}});
  const Array ids = Array::of<int64_t>({1, 2}, {0, 1}), scores(Type::f32, {1, 2, 2});
  EXPECT_THROW(judged("multiple-choice", data, {0}, ids, scores), Error);
  EXPECT_THROW(judged("multiple-choice", data, {1}, ids, scores), Error) << "no question at all";
}

}  // namespace
}  // namespace pare
