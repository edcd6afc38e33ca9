#pragma once
// What a killed run needs to continue as if nothing had happened.
#include <torch/optim.h>

#include <string>
#include <vector>

#include "train/torch/average.h"

namespace pare {

struct Checkpoint {
  int64_t fingerprint = 0;  // of job, data and first state: another job's file is refused
  int64_t epoch = 0;        // finished
  int64_t best_epoch = 0;
  double best_metric = 0, best_loss = 0, first_metric = 0, first_loss = 0, seconds = 0;
  std::vector<at::Tensor> state, best;
  Average average;
};
// Written under another name first. Throws Error.
void save_checkpoint(const std::string& path, const Checkpoint& checkpoint,
                     const std::vector<torch::optim::Optimizer*>& optimizers);
// False where there is no file, or one of another job. Throws Error where the file is damaged.
bool load_checkpoint(const std::string& path, Checkpoint& checkpoint,
                     const std::vector<torch::optim::Optimizer*>& optimizers);

}  // namespace pare
