#include "measure/tasks/classify.h"

#include <algorithm>

#include "measure/statistics.h"

namespace pare {
namespace {

// With fewer classes top-5 says nothing.
constexpr size_t kTop5Classes = 10;

// How many values beat the label's, ties won by the lower index as in top_index. A NaN at the label loses to all.
size_t rank_of(std::span<const float> values, size_t label) {
  size_t rank = 0;
  for (size_t i = 0; i < values.size(); ++i)
    if (i != label && !(values[i] < values[label]) && (values[i] != values[label] || i < label)) ++rank;
  return rank;
}

class ClassifyJudge : public Judge {
 public:
  ClassifyJudge(const DataSet& data, const char* metric) : data_(data), metric_(metric) {}

  void see(const JudgedBatch& batch) override {
    const Array& scores = batch.outputs[0];
    const size_t classes = size_t(scores.count()) / (batch.batched ? size_t(scores.dim(0)) : 1);
    if (classes < 2 || (!data_.classes.empty() && classes < data_.classes.size()))
      throw Error(data_.path,
                  "the model's first output has " + std::to_string(classes) + " values a sample, the data has " +
                      std::to_string(data_.classes.size()) + " classes",
                  "a classifier's first output holds one score a class; `pare inspect` shows the outputs");
    classes_ = classes;
    const std::vector<float> values = scores.to_floats();
    for (size_t i = 0; i < batch.labels.size(); ++i) {
      const int64_t label = batch.labels[i];
      if (label < 0 || size_t(label) >= classes)
        throw Error(data_.path,
                    "test sample " +
                        std::to_string(i < batch.samples.size() ? batch.samples[i] : int64_t(correct_.size())) +
                        " has label " + std::to_string(label) + ", the model tells classes 0 to " +
                        std::to_string(classes - 1));
      const size_t rank = rank_of(std::span(values).subspan(i * classes, classes), size_t(label));
      correct_.push_back(rank == 0);
      top5_ += rank < 5;
    }
  }

  Quality finish() override {
    Quality quality;
    const int64_t count = int64_t(correct_.size());
    quality.metric = proportion(metric_, std::count(correct_.begin(), correct_.end(), 1), count);
    if (classes_ >= kTop5Classes) quality.more.push_back(proportion("top5", top5_, count));
    quality.correct = std::move(correct_);
    return quality;
  }

 private:
  const DataSet& data_;
  const char* metric_;
  size_t classes_ = 0;
  int64_t top5_ = 0;
  std::vector<char> correct_;
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t) {
  return judge_classes(data, "top1");
}

}  // namespace

std::unique_ptr<Judge> judge_classes(const DataSet& data, const char* metric) {
  return std::make_unique<ClassifyJudge>(data, metric);
}

extern const Task task_classify;
const Task task_classify = {"classify", "top-1 (and top-5) accuracy against labels", false, start};

}  // namespace pare
