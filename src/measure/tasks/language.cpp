#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "measure/statistics.h"
#include "measure/tasks/task.h"

// Language models: how surprised they are by each next token. Perplexity is e to the mean negative log-likelihood of
// every token but a window's first (Jelinek et al. 1977).
namespace pare {
namespace {

// −ln p(id) under softmax(scores).
double surprise(std::span<const float> scores, int64_t id) {
  double most = -INFINITY, sum = 0;
  for (const float score : scores) most = std::max(most, double(score));
  for (const float score : scores) sum += std::exp(double(score) - most);
  return most + std::log(sum) - double(scores[size_t(id)]);
}

class LanguageJudge : public Judge {
 public:
  LanguageJudge(const DataSet& data, uint64_t seed) : data_(data), seed_(seed) {}

  void see(const JudgedBatch& batch) override {
    const Array& ids = ids_of(batch);
    const Array scores = scores_of(batch, ids).cast(Type::f32);
    const int64_t vocabulary = scores.dim(2), columns = ids.dim(1);
    const auto tokens = ids.to_integers();
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      Window window;
      const int64_t length = std::min(data_.test->length(batch.samples[i]), columns);  // what is behind it fills up
      // An instruction is told, its answer judged.
      for (int64_t t = std::max<int64_t>(data_.test->get(batch.samples[i]).given - 1, 0); t + 1 < length; ++t) {
        const int64_t row = int64_t(i) * columns + t, next = tokens[size_t(row + 1)];
        if (next >= vocabulary)
          throw Error(data_.path, fmt::format("token {} is not in the model's vocabulary of {}", next, vocabulary),
                      "take the ids of the model's own tokenizer");
        window.sum += surprise(scores.values<float>().subspan(size_t(row * vocabulary), size_t(vocabulary)), next);
        ++window.count;
      }
      windows_.push_back(window);
    }
  }

  Quality finish() override {
    Quality quality;
    quality.over_samples = [windows = windows_](std::span<const int64_t> samples) {
      double sum = 0, count = 0;
      for (const int64_t i : samples) {
        sum += windows[size_t(i)].sum;
        count += windows[size_t(i)].count;
      }
      return std::exp(sum / count);
    };
    quality.metric = bootstrapped_metric("perplexity", int64_t(windows_.size()), seed_, quality.over_samples);
    quality.metric.higher_is_better = false;
    return quality;
  }

 private:
  struct Window {
    double sum = 0, count = 0;
  };

  const Array& ids_of(const JudgedBatch& batch) const {
    for (const Array& input : batch.inputs)
      if (input.type() == Type::i64 || input.type() == Type::i32) return input;
    throw Error(data_.path, "the model takes no token ids");
  }

  // The output with a row of scores for every token.
  const Array& scores_of(const JudgedBatch& batch, const Array& ids) const {
    std::string found;
    for (const Array& output : batch.outputs) {
      if (output.rank() == 3 && output.dim(0) == ids.dim(0) && output.dim(1) == ids.dim(1)) return output;
      found += (found.empty() ? "" : ", ") + dims_text(output.dims());
    }
    throw Error(data_.path, "none of the model's outputs scores the vocabulary for every token: " + found,
                "task = \"language\" is for models that predict the next token");
  }

  const DataSet& data_;
  uint64_t seed_;
  std::vector<Window> windows_;  // in the order they were judged, the same for every model
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t seed) {
  return std::make_unique<LanguageJudge>(data, seed);
}

}  // namespace

extern const Task task_language;
const Task task_language = {"language", "perplexity of a language model on running text", false, start};

}  // namespace pare
