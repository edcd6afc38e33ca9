// One training step of ResNet-20 (CIFAR-10, batch 128) as pare takes it from an ONNX graph, beside the same network and the
// same optimizer written in plain libtorch, interleaved in one run. The first losses are compared before anything is timed.
//   bench_train_step [MODEL] [SECONDS]
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/random.h"
#include "formats/format.h"
#include "train/torch/arrays.h"
#include "train/torch/trainer.h"

namespace pare {
namespace {

constexpr int64_t kBatch = 128;

// The network of He et al. 2016, section 4.2, with its batch normalizations folded: shortcuts without weights.
struct Plain {
  std::vector<at::Tensor> weights;  // as the graph lists them: a weight and a bias a layer
  std::unique_ptr<torch::optim::AdamW> optimizer;

  at::Tensor convolution(const at::Tensor& x, size_t& at, int64_t stride) const {
    at += 2;
    return torch::conv2d(x, weights[at - 2], weights[at - 1], stride, 1);
  }
  at::Tensor forward(at::Tensor x) const {
    size_t at = 0;
    x = torch::relu(convolution(x, at, 1));
    for (int stage = 0; stage < 3; ++stage)
      for (int block = 0; block < 3; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1, more = stride == 2 ? (int64_t(8) << stage) / 2 : 0;
        const at::Tensor inner = torch::relu(convolution(x, at, stride)), outer = convolution(inner, at, 1);
        if (stride == 2) x = torch::constant_pad_nd(x.slice(2, 0, x.size(2), 2).slice(3, 0, x.size(3), 2), {0, 0, 0, 0, more, more});
        x = torch::relu(outer + x);
      }
    return torch::addmm(weights[at + 1], torch::avg_pool2d(x, 8).flatten(1), weights[at].t());
  }
  double step(const at::Tensor& x, const at::Tensor& labels) {
    optimizer->zero_grad();
    const at::Tensor loss = torch::cross_entropy_loss(forward(x), labels);
    loss.backward();
    optimizer->step();
    return loss.item<double>();
  }
};

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(const std::string& path, double seconds) {
  const Graph graph = read_model(path);
  Random random(1);
  TrainingBatch batch;
  Array pictures(Type::f32, {kBatch, 3, 32, 32});
  for (float& v : pictures.mutable_values<float>()) v = float(random.normal());
  batch.inputs = {pictures};
  for (int64_t i = 0; i < kBatch; ++i) batch.labels.push_back(int64_t(random.below(10)));
  TrainingSource source;
  source.count = kBatch;
  source.batch = [&](std::span<const int64_t>) { return batch; };
  TrainingJob job;
  job.data = &source;
  job.options.rate = 1e-5;
  Trainer trainer(graph, job);
  Plain plain;
  for (const Node& node : graph.nodes)
    if (node.is("Conv") || node.is("Gemm"))
      for (size_t i : {1, 2}) plain.weights.push_back(tensor_of(graph.constant(node.inputs[i])->decode(), at::kFloat).requires_grad_(true));
  plain.optimizer = std::make_unique<torch::optim::AdamW>(plain.weights, torch::optim::AdamWOptions(1e-5).weight_decay(0));
  const at::Tensor x = tensor_of(pictures, at::kFloat), labels = at::tensor(batch.labels, at::kLong);
  const double ours = trainer.step(batch, 1), theirs = plain.step(x, labels);
  std::printf("loss of the first step: %.6f, plain %.6f\n", ours, theirs);
  if (std::abs(ours - theirs) > 1e-3 * std::abs(theirs)) return std::puts("they do not compute the same"), 1;
  std::vector<double> a, b;
  double spent = 0;
  while (a.size() < 3 || spent < seconds * 1000) {
    a.push_back(milliseconds([&] { trainer.step(batch, 1); }));
    b.push_back(milliseconds([&] { plain.step(x, labels); }));
    spent += a.back() + b.back();
  }
  std::printf("step: pare %.1f ms, plain libtorch %.1f ms, ratio %.3f (%zu pairs, %d threads)\n", median(a), median(b), median(a) / median(b), a.size(), at::get_num_threads());
  return 0;
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  try {
    return pare::run(argc > 1 ? argv[1] : "../shared/models/image_classification/resnet20_cifar10.onnx", argc > 2 ? std::atof(argv[2]) : 20);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
