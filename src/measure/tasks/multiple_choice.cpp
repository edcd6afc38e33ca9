#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "measure/statistics.h"
#include "measure/tasks/token_scores.h"

// Questions with several answers: a language model chooses the one that it finds most probable behind the question.
// Judged by the answers' log-likelihoods as they are, and over their lengths in bytes, which takes short answers'
// advantage away (Gao et al., A framework for few-shot language model evaluation: acc and acc_norm).
namespace pare {
namespace {

class ChoiceJudge : public Judge {
 public:
  explicit ChoiceJudge(const DataSet& data) : data_(data) {}

  void see(const JudgedBatch& batch) override {
    const TokenScores scores(batch, batch.outputs, data_);
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      const Truth truth = data_.test->truth(batch.samples[i]);
      if (!truth.choice) throw Error(data_.path, "the test split holds no questions", "use format = \"choices\"");
      const auto [first, length] = judged_tokens(data_, batch.samples[i]);
      double likelihood = 0;
      for (int64_t t = first; t < length; ++t) {
        const std::span<const float> row = scores.row(i, t - 1);
        likelihood += double(row[size_t(scores.next(i, t - 1))]) - sum_scores(row).log_sum;
      }
      questions_[truth.choice->question].push_back(
          {batch.samples[i], likelihood, double(std::max<int64_t>(1, truth.choice->bytes)), truth.choice->right});
    }
  }

  Quality finish() override {
    Quality quality;
    std::vector<char> by_length;
    for (auto& [question, answers] : questions_) {
      // Samples come in any order; the first of equals wins.
      std::sort(answers.begin(), answers.end(), [](const Answer& a, const Answer& b) { return a.sample < b.sample; });
      if (std::count_if(answers.begin(), answers.end(), [](const Answer& a) { return a.right; }) != 1)
        throw Error(data_.path, fmt::format("question {} lacks some of its answers", question + 1),
                    "limit questions with questions = …, not with limit");
      quality.correct.push_back(best(answers, [](const Answer& a) { return a.likelihood; }).right);
      by_length.push_back(best(answers, [](const Answer& a) { return a.likelihood / a.bytes; }).right);
    }
    quality.metric = accuracy("accuracy", quality.correct);
    quality.more.push_back(accuracy("accuracy_by_length", by_length));
    return quality;
  }

 private:
  struct Answer {
    int64_t sample = 0;
    double likelihood = 0, bytes = 0;
    bool right = false;
  };

  template <class Score>
  static const Answer& best(const std::vector<Answer>& answers, const Score& score) {
    return *std::max_element(answers.begin(), answers.end(),
                             [&](const Answer& a, const Answer& b) { return score(a) < score(b); });
  }

  static MetricValue accuracy(const char* name, const std::vector<char>& correct) {
    return proportion(name, std::count(correct.begin(), correct.end(), 1), int64_t(correct.size()));
  }

  const DataSet& data_;
  std::map<int64_t, std::vector<Answer>> questions_;
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t) {
  return std::make_unique<ChoiceJudge>(data);
}

}  // namespace

extern const Task task_multiple_choice;
const Task task_multiple_choice = {
    "multiple-choice", "how often a language model finds a question's right answer the most probable", false, start};

}  // namespace pare
