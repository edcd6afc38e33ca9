#include "train/torch/together.h"

#include <algorithm>

namespace pare {

std::vector<int64_t> share_of(std::vector<int64_t> batch, const Ranks& together) {
  if (together.count() == 1) return batch;
  std::sort(batch.begin(), batch.end());
  const auto count = int64_t(batch.size());
  const int64_t first = count * together.rank() / together.count(), last = count * (together.rank() + 1) / together.count();
  return {batch.begin() + first, batch.begin() + last};
}

void sum_gradients(const std::vector<at::Tensor>& leaves, const Ranks& together) {
  if (together.count() == 1) return;
  const at::NoGradGuard guard;
  std::vector<at::Tensor> flat;
  for (const at::Tensor& leaf : leaves)  // those that the loss does not reach have none in any process
    if (leaf.grad().defined()) flat.push_back(leaf.grad().reshape({-1}).to(at::kFloat));
  at::Tensor all = at::cat(flat).contiguous();
  together.sum(std::span(all.data_ptr<float>(), size_t(all.numel())));
  int64_t at = 0;
  for (const at::Tensor& leaf : leaves) {
    if (!leaf.grad().defined()) continue;
    leaf.mutable_grad().copy_(all.narrow(0, at, leaf.numel()).reshape(leaf.sizes()));
    at += leaf.numel();
  }
}

void take_from_first(std::vector<at::Tensor>& values, const Ranks& together) {
  for (at::Tensor& value : values) {
    const at::Tensor all = (together.first() ? value : at::zeros_like(value)).to(at::kDouble).contiguous().clone();
    together.sum(std::span(all.data_ptr<double>(), size_t(all.numel())));
    value = all.to(value.scalar_type()).reshape(value.sizes());
  }
}

}  // namespace pare
