#pragma once
// The order of training samples, and what is done to pictures on their way.
#include <future>
#include <vector>

#include "base/random.h"
#include "train/train.h"

namespace pare {

// Which samples are trained on and which are held out to choose the best state by.
struct SampleSplit {
  std::vector<int64_t> train, held_out;
};
SampleSplit split_samples(const TrainingSource& data, double held_out, uint64_t seed);

// Samples of one reading, where a step is made of `batch`.
int64_t read_at_once(const TrainingSource& data, int64_t batch);

// The batches of one epoch, a function of seed and epoch alone. Samples of different lengths are put beside their like.
std::vector<std::vector<int64_t>> epoch_batches(const TrainingSource& data, const std::vector<int64_t>& samples, int64_t batch, uint64_t seed, int64_t epoch);

// `samples` in order, at most `at_once` a part.
std::vector<std::vector<int64_t>> in_parts(const std::vector<int64_t>& samples, int64_t at_once);

// "none", or what happens, joined by "-", on the first input where it is a float NCHW picture. flip: mirrored in half of all
// cases; shift: moved by up to an eighth of its height, its border repeated; erase: in half of all cases a square of a seventh
// to three sevenths of its height becomes the channel's mean (Zhong et al. 2020, Random Erasing, there a rectangle of noise).
// What becomes of a sample follows from its number (`contents`, which tell mirrored ones apart afterwards) and the seed,
// whichever batch it is in.
void augment(TrainingBatch& batch, const std::string& how, uint64_t seed);

// Reads one batch ahead in a thread of its own; `contents` are the samples' numbers.
class BatchReader {
 public:
  BatchReader(const TrainingSource& data, std::vector<std::vector<int64_t>> batches) : data_(data), batches_(std::move(batches)) { start(); }
  size_t count() const { return batches_.size(); }
  TrainingBatch next();

 private:
  void start();
  const TrainingSource& data_;
  std::vector<std::vector<int64_t>> batches_;
  size_t at_ = 0;
  std::future<TrainingBatch> coming_;
};

}  // namespace pare
