#include <cmath>

#include "measure/statistics.h"
#include "measure/tasks/token_scores.h"

// Language models: how surprised they are by each next token. Perplexity is e to the mean negative log-likelihood of
// every token that is judged (Jelinek et al. 1977). Beside a baseline with the same vocabulary: how far the two
// distributions of each next token are apart, and how often both find the same token most probable.
namespace pare {
namespace {

// Sums over the judged tokens of a window.
struct Window {
  double count = 0, surprise = 0;
  double divergence = 0, agreed = 0;  // from and with the baseline
};

// KL(baseline ‖ model) = Σ p·(ln p − ln q), in nats.
double divergence(std::span<const float> baseline, const ScoreSum& whole, std::span<const float> model,
                  const ScoreSum& other) {
  double sum = 0;
  for (size_t i = 0; i < baseline.size(); ++i)
    sum += std::exp(double(baseline[i]) - whole.log_sum) * (double(baseline[i]) - double(model[i]));
  return sum - whole.log_sum + other.log_sum;
}

// Over the judged tokens of some windows.
double mean_over(const std::vector<Window>& windows, std::span<const int64_t> some, double Window::*what) {
  double sum = 0, count = 0;
  for (const int64_t i : some) {
    sum += windows[size_t(i)].*what;
    count += windows[size_t(i)].count;
  }
  return sum / count;
}

class LanguageJudge : public Judge {
 public:
  LanguageJudge(const DataSet& data, uint64_t seed) : data_(data), seed_(seed) {}

  void see(const JudgedBatch& batch) override {
    const TokenScores scores(batch, batch.outputs, data_);
    std::optional<TokenScores> baseline;
    if (!batch.baseline_outputs.empty()) baseline.emplace(batch, batch.baseline_outputs, data_);
    compared_ = compared_ && baseline && baseline->vocabulary() == scores.vocabulary();
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      const auto [first, length] = judged_tokens(data_, batch.samples[i]);
      Window window;
      for (int64_t t = first; t < length; ++t) judge(scores, compared_ ? &*baseline : nullptr, i, t - 1, window);
      windows_.push_back(window);
    }
  }

  Quality finish() override {
    Quality quality;
    quality.over_samples = [windows = windows_](std::span<const int64_t> samples) {
      return std::exp(mean_over(windows, samples, &Window::surprise));
    };
    quality.metric = bootstrapped_metric("perplexity", int64_t(windows_.size()), seed_, quality.over_samples);
    quality.metric.higher_is_better = false;
    // e^r moves by e^r times what r moves by.
    quality.metric.standard_error = quality.metric.value * ratio(&Window::surprise).standard_error;
    if (!compared_) return quality;
    quality.more.push_back(mean("kl_divergence", &Window::divergence));
    quality.more.back().higher_is_better = false;
    quality.more.push_back(mean("top1_agreement", &Window::agreed));
    return quality;
  }

 private:
  static void judge(const TokenScores& scores, const TokenScores* baseline, size_t i, int64_t t, Window& window) {
    const std::span<const float> row = scores.row(i, t);
    const ScoreSum sum = sum_scores(row);
    window.count += 1;
    window.surprise += sum.log_sum - double(row[size_t(scores.next(i, t))]);
    if (baseline == nullptr) return;
    const std::span<const float> other = baseline->row(i, t);
    window.divergence += divergence(other, sum_scores(other), row, sum);
    window.agreed += top_index(row) == top_index(other);
  }

  RatioOfSums ratio(double Window::*what) const {
    std::vector<double> sums, counts;
    for (const Window& window : windows_) {
      sums.push_back(window.*what);
      counts.push_back(window.count);
    }
    return ratio_of_sums(sums, counts);
  }

  MetricValue mean(const char* name, double Window::*what) const {
    MetricValue metric =
        bootstrapped_metric(name, int64_t(windows_.size()), seed_,
                            [&](std::span<const int64_t> samples) { return mean_over(windows_, samples, what); });
    metric.standard_error = ratio(what).standard_error;
    return metric;
  }

  const DataSet& data_;
  uint64_t seed_;
  bool compared_ = true;
  std::vector<Window> windows_;  // in the order they were judged, the same for every model
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t seed) {
  return std::make_unique<LanguageJudge>(data, seed);
}

}  // namespace

extern const Task task_language;
const Task task_language = {
    .name = "language",
    .summary =
        "perplexity of a language model on running text; divergence and agreement with the baseline's next tokens",
    .needs_baseline = false,
    .start = start,
    .compares = true};

}  // namespace pare
