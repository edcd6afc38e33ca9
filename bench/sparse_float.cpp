// bench_sparse_float [--threads N] [--filter TEXT] [--rounds N]: float convolutions with pruned weights against the fastest
// dense form here (oneDNN direct or Winograd, or a kernel of our own). Both are timed in turns, without the changes of layout
// around them; ratios are of a round, the least and the median of all rounds are printed. Weights and masks are random.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/random.h"
#include "base/threads.h"
#include "engine/engine.h"

namespace {

struct Layer {
  const char* name;
  int64_t size, inputs, outputs, kernel, stride;
};

// The shapes of ResNet-50 and ResNet-20.
constexpr Layer kLayers[] = {
    {"1x1 64>256 @56", 56, 64, 256, 1, 1},    {"1x1 256>64 @56", 56, 256, 64, 1, 1},     {"1x1 512>128 @28", 28, 512, 128, 1, 1},
    {"1x1 128>512 @28", 28, 128, 512, 1, 1},  {"1x1 1024>256 @14", 14, 1024, 256, 1, 1}, {"1x1 256>1024 @14", 14, 256, 1024, 1, 1},
    {"1x1 2048>512 @7", 7, 2048, 512, 1, 1},  {"3x3 64 @56", 56, 64, 64, 3, 1},          {"3x3 128 @28", 28, 128, 128, 3, 1},
    {"3x3 256 @14", 14, 256, 256, 3, 1},      {"3x3 512 @7", 7, 512, 512, 3, 1},         {"3x3 128 @56 /2", 56, 128, 128, 3, 2},
    {"3x3 16 @32", 32, 16, 16, 3, 1},         {"3x3 32 @16", 16, 32, 32, 3, 1},          {"3x3 64 @8", 8, 64, 64, 3, 1},
};
constexpr double kSparsities[] = {0.35, 0.5, 0.7, 0.8, 0.9, 0.95};

// `together` neighbouring outputs share their zeros.
pare::Graph one_conv(const Layer& layer, double sparsity, int64_t together) {
  pare::Random random(5);
  pare::Array weight(pare::Type::f32, {layer.outputs, layer.inputs, layer.kernel, layer.kernel});
  const int64_t depth = layer.inputs * layer.kernel * layer.kernel;
  const double scale = std::sqrt(2.0 / (double(depth) * (1 - sparsity)));
  std::vector<char> zero(size_t(layer.outputs / together * depth));
  for (char& z : zero) z = random.uniform() < sparsity;
  auto values = weight.mutable_values<float>();
  for (int64_t i = 0; i < weight.count(); ++i)
    values[size_t(i)] = zero[size_t(i / depth / together * depth + i % depth)] != 0 ? 0.0f : float(scale * random.normal());
  pare::Graph graph;
  graph.opsets[""] = 13;
  graph.inputs = {graph.add_value("x", pare::Type::f32, pare::shape_of({1, layer.inputs, layer.size, layer.size}))};
  const pare::ValueId w = graph.add_constant("w", pare::Tensor(weight)), y = graph.add_value("y", pare::Type::f32);
  pare::Node& conv = graph.add_node("Conv", {graph.inputs[0], w}, {y});
  conv.name = "conv";
  conv.attributes["strides"] = std::vector<int64_t>{layer.stride, layer.stride};
  conv.attributes["pads"] = std::vector<int64_t>(4, layer.kernel / 2);
  graph.outputs = {y};
  pare::infer_shapes(graph);
  return graph;
}

// Milliseconds of the convolution, and how it runs.
double conv_ms(pare::Session& session, const std::vector<pare::Array>& inputs, std::string& how) {
  double sum = 0;
  for (const pare::LayerReport& layer : session.time_layers(inputs, 5))
    if (layer.op.starts_with("Conv")) {
      sum += layer.milliseconds;
      how = layer.implementation;
    }
  return sum;
}

void compare(const Layer& layer, double sparsity, int64_t together, int threads, int rounds) {
  const pare::Graph graph = one_conv(layer, sparsity, together);
  const std::vector<pare::Dims> dims{{1, layer.inputs, layer.size, layer.size}};
  pare::SessionOptions options;
  options.threads = threads;
  options.sparse = pare::SparseLayers::always;
  pare::Session sparse(graph, dims, options);
  options.sparse = pare::SparseLayers::never;
  pare::Session dense(graph, dims, options);
  const std::vector<pare::Array> inputs = pare::random_inputs(graph, dims, 1);
  const pare::Array a = sparse.run(inputs)[0], b = dense.run(inputs)[0];
  double error = 0, most = 0;
  for (size_t i = 0; i < a.values<float>().size(); ++i) {
    error = std::max(error, double(std::abs(a.values<float>()[i] - b.values<float>()[i])));
    most = std::max(most, double(std::abs(b.values<float>()[i])));
  }
  if (!(error <= 1e-4 * most)) throw std::runtime_error(std::string(layer.name) + ": sparse and dense results differ");
  std::vector<double> ratios;
  double sparse_ms = 1e300, dense_ms = 1e300;
  std::string how_sparse, how_dense;
  for (int round = 0; round < rounds; ++round) {
    const double d = conv_ms(dense, inputs, how_dense), s = conv_ms(sparse, inputs, how_sparse);
    ratios.push_back(d / s);
    dense_ms = std::min(dense_ms, d);
    sparse_ms = std::min(sparse_ms, s);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("%-18s %3.0f %% %-12s %9.4f %9.4f  %6.2f %6.2f  %s | %s\n", layer.name, sparsity * 100, together > 1 ? "4x1" : "unstructured", dense_ms, sparse_ms, ratios.front(),
              ratios[ratios.size() / 2], how_dense.c_str(), how_sparse.c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Pruned float convolutions against dense ones.");
  int threads = 1, rounds = 7;
  std::string filter;
  app.add_option("--threads", threads, "threads to compute with");
  app.add_option("--rounds", rounds, "rounds of both in turns");
  app.add_option("--filter", filter, "only lines whose layer holds this text");
  CLI11_PARSE(app, argc, argv);
  pare::set_threads(threads);
  std::printf("layer              zeros pattern       dense ms sparse ms   least median ratio, dense | sparse form\n");
  for (const Layer& layer : kLayers)
    if (std::string(layer.name).find(filter) != std::string::npos)
      for (const int64_t together : {1, 4})
        for (const double sparsity : kSparsities) compare(layer, sparsity, together, threads, rounds);
}
