#pragma once
// The loop: batches, steps, held-out part, best state, checkpoint.
#include <torch/optim.h>

#include <chrono>
#include <optional>

#include "train/torch/batches.h"
#include "train/torch/checkpoint.h"
#include "train/torch/loss.h"
#include "train/torch/parameters.h"
#include "train/torch/segments.h"

namespace pare {

// Share of the full rate after the part `t` (0 … 1) of all steps.
double schedule_factor(const TrainingOptions& options, double t);

// What is computed at once of a step's samples.
struct StepPart {
  TrainingBatch batch;
  double share = 1;  // of the samples of the step
};

class Trainer {
 public:
  Trainer(const Graph& graph, const TrainingJob& job);
  TrainingReport run();  // the best state stands in the interpreter afterwards
  int write(Graph& graph) const { return parameters_.write(interpreter_, graph); }
  // One step on a batch, whose gradients are added up part by part, and over the processes that train together; returns the loss.
  double step(const std::vector<StepPart>& parts, double rate_factor);

 private:
  struct Score {
    double metric = 0, loss = 0;
  };
  Score judge();
  bool better(const Score& score) const;  // than the best so far
  double add_gradients(const StepPart& part);
  std::string held_out_text(const Score& score) const;
  bool train_epoch(int64_t epoch);  // false: stopped inside
  bool stopped() const;             // any of the processes was asked to stop
  void prune(double part);
  Score judge_epoch();  // of what would be kept: the average where there is one
  void take_best(const Score& score, int64_t epoch);
  void check_ranks() const;
  void tell(int64_t epoch, size_t done, size_t count);
  void make_optimizers();
  std::vector<torch::optim::Optimizer*> optimizers() const;
  void note(TrainingReport& report) const;
  double seconds() const {
    return before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  const TrainingJob& job_;
  Interpreter interpreter_;
  Parameters parameters_;
  std::unique_ptr<Loss> loss_;
  std::optional<Segments> segments_;  // where only a few constants are trained
  SampleSplit split_;
  std::unique_ptr<torch::optim::Optimizer> weights_, steps_;
  Checkpoint now_;
  Score last_;  // on the held-out part
  double last_loss_ = 0, before_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace pare
