#include "measure/detector.h"
#include "measure/exhibit.h"
#include "measure/statistics.h"
#include "measure/tasks/task.h"

// Boxes around things: a declared head reads the model's outputs, suppression and COCO's average precision follow.
namespace pare {
namespace {

class DetectJudge : public Judge {
 public:
  DetectJudge(const DataSet& data, uint64_t seed)
      : data_(data), detector_(data), seed_(seed), score_(std::make_shared<PrecisionScore>()) {}

  void see(const JudgedBatch& batch) override {
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      std::vector<Array> outputs;
      for (const Array& output : batch.outputs) outputs.push_back(sample_of(output, i, batch.batched));
      const Truth truth = data_.test->truth(batch.samples[i]);
      score_->see(detector_.find(outputs, batch, truth), truth.boxes);
    }
  }

  Quality finish() override {
    score_->sort();
    Quality quality;
    const int64_t count = score_->pictures();
    quality.over_samples = [score = score_](std::span<const int64_t> pictures) { return score->mean(pictures); };
    quality.metric = bootstrapped_metric("map", count, seed_, quality.over_samples);
    quality.more.push_back(
        bootstrapped_metric("map50", count, seed_,
                            [score = score_](std::span<const int64_t> pictures) { return score->mean(pictures, 1); }));
    return quality;
  }

 private:
  const DataSet& data_;
  const Detector detector_;
  uint64_t seed_;
  std::shared_ptr<PrecisionScore> score_;
};

std::unique_ptr<Judge> start(const DataSet& data, uint64_t seed) {
  return std::make_unique<DetectJudge>(data, seed);
}

}  // namespace

extern const Task task_detect;
const Task task_detect = {
    "detect",
    "COCO's average precision of boxes (mAP 50-95 and mAP 50)",
    false,
    start,
    true,
    box_exhibit,
    "The pictures in which a compressed model's boxes differ most from the baseline's, out of pictures spread over "
    "the test data. Boxes are shown from a score of 0.3; a solid one covers a true box of its class (IoU 0.5), a "
    "dashed one does not."};

}  // namespace pare
