#include <algorithm>
#include <cmath>

#include "measure/statistics.h"
#include "measure/tasks/task.h"

namespace pare {
namespace {

// Sums over one sample's outputs, enough for the ratio of signal to noise and the angle.
struct Sums {
  double signal = 0, noise = 0, product = 0, own = 0;  // Σy², Σ(x−y)², Σxy, Σx²; x the model's, y the baseline's
};

double decibels(double signal, double noise) {
  return noise > 0 ? 10 * std::log10(signal / noise) : INFINITY;
}

double cosine(const Sums& sums) {
  if (sums.signal == 0 || sums.own == 0) return sums.signal == sums.own ? 1 : 0;
  return sums.product / std::sqrt(sums.signal * sums.own);
}

class CompareJudge : public Judge {
 public:
  explicit CompareJudge(uint64_t seed) : seed_(seed) {}

  void see(const JudgedBatch& batch) override {
    for (size_t i = 0; i < batch.labels.size(); ++i) {
      Sums sums;
      for (size_t output = 0; output < batch.outputs.size(); ++output) {
        const auto x = sample_values(batch.outputs[output], i, batch.batched),
                   y = sample_values(batch.baseline_outputs[output], i, batch.batched);
        if (x.size() != y.size())
          throw Error("output " + std::to_string(output),
                      "has " + std::to_string(x.size()) + " values, the baseline's has " + std::to_string(y.size()));
        if (output == 0) agree_.push_back(top_index(x) == top_index(y));
        for (size_t k = 0; k < x.size(); ++k) {
          sums.signal += double(y[k]) * y[k];
          sums.noise += (double(x[k]) - y[k]) * (double(x[k]) - y[k]);
          sums.product += double(x[k]) * y[k];
          sums.own += double(x[k]) * x[k];
        }
      }
      samples_.push_back(sums);
    }
  }

  Quality finish() override {
    Quality quality;
    const int64_t count = int64_t(samples_.size()), agreed = std::count(agree_.begin(), agree_.end(), 1);
    quality.metric = proportion("agreement", agreed, count);
    quality.more.push_back(bootstrapped_metric("sqnr_db", count, seed_, [this](std::span<const int64_t> indices) {
      double signal = 0, noise = 0;
      for (int64_t i : indices) signal += samples_[size_t(i)].signal, noise += samples_[size_t(i)].noise;
      return decibels(signal, noise);
    }));
    quality.more.push_back(bootstrapped_metric("cosine", count, seed_, [this](std::span<const int64_t> indices) {
      double sum = 0;
      for (int64_t i : indices) sum += cosine(samples_[size_t(i)]);
      return sum / double(indices.size());
    }));
    // No paired test: the baseline agrees with itself by definition.
    return quality;
  }

 private:
  uint64_t seed_;
  std::vector<Sums> samples_;
  std::vector<char> agree_;
};

std::unique_ptr<Judge> start(const DataSet&, uint64_t seed) {
  return std::make_unique<CompareJudge>(seed);
}

}  // namespace

extern const Task task_compare;
const Task task_compare = {
    "compare", "agreement, SQNR and cosine of the outputs with the baseline model's; needs no labels", true, start};

}  // namespace pare
