#include "train/torch/together.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace pare {
namespace {

at::Tensor summed(const at::Tensor& values, const Ranks& together) {
  at::Tensor sum = values.detach().to(at::kDouble).contiguous().clone();
  together.sum(std::span(sum.data_ptr<double>(), size_t(sum.numel())));
  return sum.to(values.scalar_type());
}

struct SumOverRanks : torch::autograd::Function<SumOverRanks> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& values) { return summed(values, ranks()); }
  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext*, torch::autograd::tensor_list gradients) { return {summed(gradients[0], ranks())}; }
};

}  // namespace

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

at::Tensor sum_over_ranks(const at::Tensor& values) { return SumOverRanks::apply(values); }

at::Tensor batch_norm_over_ranks(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& bias, at::Tensor mean, at::Tensor variance, double momentum, double epsilon) {
  std::vector<int64_t> axes{0}, beside(size_t(x.dim()), 1);
  for (int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  beside[1] = -1;
  const at::Tensor count = sum_over_ranks(at::full({1}, double(x.numel() / x.size(1)), x.options().requires_grad(false)));
  const at::Tensor batch_mean = sum_over_ranks(x.sum(axes)) / count;
  const at::Tensor centred = x - batch_mean.reshape(beside);
  const at::Tensor batch_variance = sum_over_ranks(centred.square().sum(axes)) / count;
  {
    const at::NoGradGuard guard;
    mean.mul_(1 - momentum).add_(batch_mean.detach() * momentum);
    variance.mul_(1 - momentum).add_(batch_variance.detach() * (count / (count - 1)) * momentum);
  }
  return centred * (at::rsqrt(batch_variance + epsilon) * scale).reshape(beside) + bias.reshape(beside);
}

}  // namespace pare
