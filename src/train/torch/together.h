#pragma once
// Training by several processes (base/ranks.h): each takes a part of every batch, and what follows is the same in all of them.
#include <ATen/ATen.h>

#include <vector>

#include "base/ranks.h"

namespace pare {

// This process's part of a batch: every rank gets some where there are as many samples as ranks. Most samples come to the same
// rank in every epoch, which then remembers what a teacher said of them.
std::vector<int64_t> share_of(std::vector<int64_t> batch, const Ranks& ranks);

// Gradients of the whole batch from those of its parts.
void sum_gradients(const std::vector<at::Tensor>& leaves, const Ranks& ranks);

// The first process's values for all.
void take_from_first(std::vector<at::Tensor>& values, const Ranks& ranks);

// Batch normalization of a batch that is spread over the ranks, its statistics updated as at::batch_norm does.
at::Tensor batch_norm_over_ranks(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& bias, at::Tensor mean, at::Tensor variance, double momentum, double epsilon);

}  // namespace pare
