// One training step of ResNet-20 (CIFAR-10, batch 128) as pare takes it from an ONNX graph, beside the same network and
// the same optimizer written in plain libtorch, interleaved in one run. The plain one is timed as libtorch lays
// pictures out by itself and with channels innermost. The losses are compared before anything is timed.
//   bench_train_step [MODEL] [SECONDS] [THREADS]
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
constexpr double kRate = 1e-5;

// The network of He et al. 2016, section 4.2, with shortcuts without weights; a layer's batch normalization may be
// merged.
class Plain {
 public:
  Plain(const Graph& graph, double rate, bool channels_last) : channels_last_(channels_last) {
    for (const Node& node : graph.nodes)
      if (node.is("Conv") || node.is("Gemm"))
        add_layer(graph, node);
      else if (node.is("BatchNormalization"))
        for (size_t i = 1; i < 5; ++i) layers_.back().normalization.push_back(tensor(graph, node, i));
    std::vector<at::Tensor> leaves;
    for (Layer& layer : layers_) {
      leaves.push_back(layer.weight);
      if (layer.bias.defined()) leaves.push_back(layer.bias);
      if (!layer.normalization.empty())
        leaves.insert(leaves.end(), layer.normalization.begin(), layer.normalization.begin() + 2);
    }
    for (at::Tensor& leaf : leaves) leaf.requires_grad_(true);
    optimizer_ = std::make_unique<torch::optim::AdamW>(leaves, torch::optim::AdamWOptions(rate).weight_decay(0));
  }
  double step(const Array& pictures, const std::vector<int64_t>& classes) {
    at::Tensor x = tensor_of(pictures, at::kFloat);
    if (channels_last_) x = x.contiguous(at::MemoryFormat::ChannelsLast);
    optimizer_->zero_grad();
    const at::Tensor loss = torch::cross_entropy_loss(forward(x), at::tensor(classes, at::kLong));
    loss.backward();
    optimizer_->step();
    return loss.item<double>();
  }

 private:
  struct Layer {
    at::Tensor weight, bias;
    std::vector<at::Tensor> normalization;  // scale, shift, mean, variance
  };
  at::Tensor tensor(const Graph& graph, const Node& node, size_t input) const {
    if (node.input(input) == kNone) return {};
    const at::Tensor found = tensor_of(graph.constant(node.inputs[input])->decode(), at::kFloat);
    return channels_last_ && found.dim() == 4 ? found.contiguous(at::MemoryFormat::ChannelsLast) : found;
  }
  void add_layer(const Graph& graph, const Node& node) {
    layers_.push_back({tensor(graph, node, 1), tensor(graph, node, 2), {}});
  }
  at::Tensor convolution(const at::Tensor& x, size_t& at, int64_t stride) const {
    const Layer& l = layers_[at++];
    const at::Tensor y = torch::conv2d(x, l.weight, l.bias, stride, 1);
    const auto& n = l.normalization;
    return n.empty() ? y : torch::batch_norm(y, n[0], n[1], n[2], n[3], true, 0.1, 1e-5, false);
  }
  at::Tensor forward(at::Tensor x) const {
    size_t at = 0;
    x = torch::relu(convolution(x, at, 1));
    for (int stage = 0; stage < 3; ++stage)
      for (int block = 0; block < 3; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1, more = stride == 2 ? (int64_t(8) << stage) / 2 : 0;
        const at::Tensor inner = torch::relu(convolution(x, at, stride)), outer = convolution(inner, at, 1);
        if (stride == 2)
          x = torch::constant_pad_nd(x.slice(2, 0, x.size(2), 2).slice(3, 0, x.size(3), 2), {0, 0, 0, 0, more, more});
        x = torch::relu(outer + x);
      }
    return torch::addmm(layers_[at].bias, torch::avg_pool2d(x, 8).flatten(1), layers_[at].weight.t());
  }

  bool channels_last_;
  std::vector<Layer> layers_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
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

double least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

int run(const std::string& path, double seconds, int threads) {
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
  job.options.rate = kRate;
  at::set_num_threads(threads);
  Trainer trainer(graph, job);
  Plain plain(graph, kRate, false), innermost(graph, kRate, true);
  const double ours = trainer.step({{batch}}, 1);
  for (Plain* theirs : {&plain, &innermost})
    if (const double loss = theirs->step(pictures, batch.labels); std::abs(ours - loss) > 1e-3 * std::abs(loss))
      return std::printf("loss of the first step: %.6f, plain %.6f: they do not compute the same\n", ours, loss), 1;
  std::vector<double> a, b, c;
  double spent = 0;
  while (a.size() < 5 || spent < seconds * 1000) {
    a.push_back(milliseconds([&] { trainer.step({{batch}}, 1); }));
    b.push_back(milliseconds([&] { plain.step(pictures, batch.labels); }));
    c.push_back(milliseconds([&] { innermost.step(pictures, batch.labels); }));
    spent += a.back() + b.back() + c.back();
  }
  std::printf("%d threads, %zu rounds; median (least) ms of a step\n", at::get_num_threads(), a.size());
  for (const auto& [name, times] :
       {std::pair("pare", a), {"plain libtorch", b}, {"plain libtorch, channels innermost", c}})
    std::printf("  %-36s %7.1f (%.1f)   pare / it: %.3f (%.3f)\n", name, median(times), least(times),
                median(a) / median(times), least(a) / least(times));
  return 0;
}

}  // namespace
}  // namespace pare

int main(int argc, char** argv) {
  try {
    return pare::run(argc > 1 ? argv[1] : "../shared/models/image_classification/resnet20_cifar10_bn.onnx",
                     argc > 2 ? std::atof(argv[2]) : 20, argc > 3 ? std::atoi(argv[3]) : 2);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
