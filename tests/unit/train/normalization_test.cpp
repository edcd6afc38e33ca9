// Batch normalization over processes is, with one process, libtorch's.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "train/torch/together.h"

namespace pare {
namespace {

struct Normalized {
  at::Tensor x, scale, bias, mean, variance, y;
};

template <class Norm>
Normalized normalized(const at::Tensor& x, const at::Tensor& weights, const Norm& norm) {
  const int64_t channels = x.size(1);
  at::manual_seed(3);
  Normalized all{x.clone().requires_grad_(), (at::rand({channels}) + 0.5).requires_grad_(), at::randn({channels}).requires_grad_(), at::randn({channels}), at::rand({channels}), {}};
  all.y = norm(all);
  torch::autograd::backward({(all.y * weights).sum()}, {});
  return all;
}

void expect_near(const at::Tensor& found, const at::Tensor& expected, const char* what) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LT((found - expected).abs().max().item<double>(), 2e-5 * std::max(1.0, expected.abs().max().item<double>())) << what;
}

TEST(BatchNormOverRanks, IsLibtorchsForOneProcess) {
  at::manual_seed(1);
  const at::Tensor picture = at::randn({9, 5, 13, 11}) * 3 + 40;  // means far from zero, rows that fill no part
  for (const at::Tensor& x : {picture, picture.contiguous(at::MemoryFormat::ChannelsLast), at::randn({70, 6}), at::randn({3, 4, 100})}) {
    const at::Tensor weights = at::randn(x.sizes());
    const Normalized expected = normalized(x, weights, [](Normalized& n) { return at::batch_norm(n.x, n.scale, n.bias, n.mean, n.variance, true, 0.1, 1e-5, false); });
    const Normalized found = normalized(x, weights, [](Normalized& n) { return batch_norm_over_ranks(n.x, n.scale, n.bias, n.mean, n.variance, 0.1, 1e-5); });
    expect_near(found.y, expected.y, "y");
    expect_near(found.x.grad(), expected.x.grad(), "gradient of x");
    expect_near(found.scale.grad(), expected.scale.grad(), "gradient of scale");
    expect_near(found.bias.grad(), expected.bias.grad(), "gradient of bias");
    expect_near(found.mean, expected.mean, "running mean");
    expect_near(found.variance, expected.variance, "running variance");
  }
}

}  // namespace
}  // namespace pare
