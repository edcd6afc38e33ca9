// prune-weights with data: the solver against a second implementation, the statistics against the reference engine, and
// what the pass promises.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine.h"
#include "passes/pass.h"
#include "passes/prune_layers.h"
#include "passes/solvers/prune_columns.h"
#include "passes/statistics/column_products.h"
#include "support/networks.h"

namespace pare {
namespace {

struct ObsGolden {
  const char* pattern;
  bool cross;
  int64_t block, count;
  std::vector<float> weights;
  std::vector<uint8_t> mask;
};
#include "prune_golden.inc"

TEST(PruneColumns, LikeTheNaiveImplementation) {
  for (const ObsGolden& golden : kObs) {
    PruneProblem problem;
    problem.shape = {kRows, kTaps * kRun, kRun, kRows};
    problem.pattern = parse_pattern(golden.pattern, "test");
    problem.n = kTaps * kRun + 1;
    problem.weights = kWeights;
    problem.products = kProducts;
    if (golden.cross) problem.cross = kCross;
    problem.block_columns = golden.block;
    problem.refit_steps = 60;
    const PrunedRows result = prune_columns(problem, golden.count);
    EXPECT_EQ(result.mask, golden.mask) << golden.pattern << " " << golden.block;
    for (size_t i = 0; i < result.weights.size(); ++i) EXPECT_NEAR(result.weights[i], golden.weights[i], 2e-3) << golden.pattern << " " << golden.block << " at " << i;
    EXPECT_GT(result.relative_error, 0);
    EXPECT_LT(result.relative_error, 0.5);
  }
}

TEST(PruneColumns, WandaComparesWithinAnOutput) {
  std::vector<float> scores;
  for (int64_t r = 0; r < kRows; ++r)
    for (int64_t c = 0; c < kTaps * kRun; ++c) scores.push_back(float(std::pow(kWeights[size_t(r * (kTaps * kRun + 1) + c)], 2) * kSquares[size_t(c)]));
  EXPECT_EQ(prune_mask(scores, {kRows, kTaps * kRun, kRun, kRows}, {}, kRows * kTaps * kRun / 2, true), kWandaMask);
}

TEST(InverseFactor, MultipliesToTheInverseAcrossBlocks) {
  const int64_t n = 150;  // more than two blocks
  const Array x = testing::random_array({n, 2 * n}, 3);
  std::vector<double> h(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t k = 0; k < 2 * n; ++k) h[size_t(i * n + j)] += double(x.values<float>()[size_t(i * 2 * n + k)]) * x.values<float>()[size_t(j * 2 * n + k)];
  double added = 0;
  const InverseFactor factor = factor_inverse(h, n, 0.01, &added);
  for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] += added;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {  // (UᵀU)·H is the identity
      double sum = 0;
      for (int64_t k = 0; k < n; ++k) {
        double inverse = 0;
        for (int64_t l = 0; l <= std::min(i, k); ++l) inverse += double(factor.at(l, i)) * factor.at(l, k);
        sum += inverse * h[size_t(k * n + j)];
      }
      ASSERT_NEAR(sum, i == j ? 1 : 0, 1e-3) << i << " " << j;
    }
}

TEST(InverseFactor, FewSamplesAreDampedUntilItExists) {
  const InverseFactor none = factor_inverse(std::vector<double>(25, 0.0), 5, 0.01);
  for (float v : none.upper) EXPECT_TRUE(std::isfinite(v));
  const InverseFactor flat = factor_inverse(std::vector<double>(10000, 1.0), 100, 1e-6);  // rank 1
  for (float v : flat.upper) EXPECT_TRUE(std::isfinite(v));
}

// Σ over positions of (w·x)² is w·H·wᵀ: the reference convolution knows nothing of columns.
TEST(ColumnProducts, SumUpWhatTheConvolutionComputes) {
  struct Case {
    int64_t groups, kernel, stride, pad, dilation;
  };
  for (const Case c : {Case{1, 3, 1, 1, 1}, {1, 3, 2, 1, 1}, {2, 3, 1, 2, 2}, {1, 1, 1, 0, 1}, {4, 3, 2, 0, 1}}) {
    testing::Network n;
    const ValueId x = n.input("x", {2, 8, 9, 7}), weight = n.constant({4, 8 / c.groups, c.kernel, c.kernel});
    const ValueId y = n.node("Conv", {x, weight}, {{"strides", std::vector<int64_t>{c.stride, c.stride}}, {"pads", std::vector<int64_t>(4, c.pad)},
                                                  {"dilations", std::vector<int64_t>{c.dilation, c.dilation}}, {"group", c.groups}});
    const Graph graph = n.finish(y);
    const Array values = testing::random_array({2, 8, 9, 7}, 11);
    const Array out = run_reference(graph, {values})[0];
    const PrunableLayer layer = prunable_layers(graph).at(0);
    ColumnProducts products(column_view(graph.nodes[0], graph.constant(layer.value)->dims, false), {1, 1 << 20}, false);
    products.see(values, nullptr);
    products.finish();
    const std::vector<float> matrix = weight_matrix(graph, layer);
    const int64_t cols = layer.shape.cols, pixels = out.dim(2) * out.dim(3);
    for (int64_t r = 0; r < 4; ++r) {
      double sum = 0, wanted = 0, mean = 0, wanted_mean = 0;
      const std::vector<double> h = products.products(r / layer.shape.group_rows);
      for (int64_t i = 0; i < cols; ++i) {
        mean += matrix[size_t(r * cols + i)] * h[size_t(i * (cols + 1) + cols)];
        for (int64_t j = 0; j < cols; ++j) sum += double(matrix[size_t(r * cols + i)]) * h[size_t(i * (cols + 1) + j)] * matrix[size_t(r * cols + j)];
      }
      for (int64_t image = 0; image < 2; ++image)
        for (int64_t p = 0; p < pixels; ++p) {
          const double v = out.values<float>()[size_t((image * 4 + r) * pixels + p)];
          wanted += v * v;
          wanted_mean += v;
        }
      EXPECT_NEAR(sum / wanted, 1, 1e-4) << c.groups << c.kernel << c.stride;
      EXPECT_NEAR(mean, wanted_mean, 1e-3 * std::sqrt(wanted * double(pixels)));
      EXPECT_EQ(h.back(), double(2 * pixels));
    }
  }
}

PipelineInputs calibration(Dims dims, int64_t count = 12) {
  PipelineInputs inputs;
  inputs.calibration = {count, [dims](int64_t i) { return std::vector<Array>{testing::random_array(dims, uint64_t(i) + 100)}; }};
  return inputs;
}
int64_t zeros(const Graph& graph) {
  int64_t sum = 0;
  for (const PrunableLayer& layer : prunable_layers(graph)) {
    const std::vector<float> matrix = weight_matrix(graph, layer);
    sum += std::count(matrix.begin(), matrix.end(), 0.f);
  }
  return sum;
}
int64_t weights(const Graph& graph) {
  int64_t sum = 0;
  for (const PrunableLayer& layer : prunable_layers(graph)) sum += layer.shape.count();
  return sum;
}
const Dims kPicture{1, 3, 17, 19};

double loss_db(const std::string& recipe) {
  const Graph original = testing::residual_network();
  Graph graph = original;
  run_recipe(graph, recipe, calibration(kPicture));
  double sum = 0;
  for (uint64_t seed : {1, 2, 3, 4}) {
    const std::vector<Array> inputs{testing::random_array(kPicture, seed)};
    sum += testing::sqnr_db(run_reference(graph, inputs)[0], run_reference(original, inputs)[0]) / 4;
  }
  return sum;
}

TEST(PruneWithData, ObsLosesLeastAndMagnitudeMost) {
  const double magnitude = loss_db("prune-weights"), obs = loss_db("prune-weights{score=obs}");
  EXPECT_GT(obs, magnitude + 5);
}

TEST(PruneWithData, TheFractionIsExactWhateverTheScope) {
  for (const char* score : {"wanda", "obs"})
    for (const char* scope : {"layer", "global", "erk"}) {
      Graph graph = testing::residual_network();
      run_recipe(graph, "prune-weights{sparsity=0.6, score=" + std::string(score) + ", scope=" + scope + "}", calibration(kPicture));
      EXPECT_EQ(zeros(graph), std::llround(0.6 * double(weights(graph)))) << score << scope;
    }
}

TEST(PruneWithData, IsRepeatable) {
  for (const char* score : {"wanda", "obs"}) {
    Graph a = testing::mobile_network(), b = testing::mobile_network();
    const std::string recipe = "prune-weights{spare=none, score=" + std::string(score) + "}";
    run_recipe(a, recipe, calibration({1, 3, 20, 20}));
    run_recipe(b, recipe, calibration({1, 3, 20, 20}));
    EXPECT_EQ(print(a), print(b)) << score;
  }
}

TEST(PruneWithData, AsksForTheDataItNeeds) {
  for (const char* score : {"wanda", "obs"}) {
    Graph graph = testing::residual_network();
    EXPECT_THROW(run_recipe(graph, "prune-weights{score=" + std::string(score) + "}", {}), Error);
  }
}

// A transformer's MatMul + Add, a weight read twice, a bias read elsewhere, a MatMul from the left, a Gemm without bias.
TEST(PruneWithData, LinearLayersOfEveryKind) {
  testing::Network n;
  const ValueId x = n.input("x", {5, 8}), shared = n.constant({8, 8}), bias = n.constant({8});
  ValueId a = n.node("Relu", {n.node("Add", {n.node("MatMul", {x, n.constant({8, 8})}), n.constant({8})})});
  ValueId b = n.node("Add", {n.node("MatMul", {n.node("Relu", {n.node("MatMul", {a, shared})}), shared}), bias});
  b = n.node("MatMul", {n.constant({5, 5}), n.node("Add", {b, bias})});
  Graph graph = n.finish(n.node("Gemm", {b, n.constant({12, 8})}, {{"transB", int64_t(1)}}));
  const Graph original = graph;
  run_recipe(graph, "prune-weights{spare=none, score=obs, sparsity=0.4}", calibration({5, 8}, 64));
  EXPECT_EQ(zeros(graph), std::llround(0.4 * double(weights(graph))));
  EXPECT_EQ(graph.nodes.back().inputs.size(), 3u) << "the Gemm got a bias";
  const std::vector<Array> inputs{testing::random_array({5, 8}, 7)};
  EXPECT_GT(testing::sqnr_db(run_reference(graph, inputs)[0], run_reference(original, inputs)[0]), 3);
}

// Zeros are what sparse execution and storage live on: nothing behind prune-weights may fill them.
TEST(PruneWithData, LaterPassesKeepZeros) {
  for (const char* later : {"quantize-static", "quantize-dynamic", "cast-weights", "cast-weights{type=bf16}", "equalize-layers", "smooth-activations", "quantize-static, correct-bias", "fold-batchnorm"}) {
    Graph graph = testing::residual_network(1, true);
    run_recipe(graph, "prune-weights{score=obs, sparsity=0.6}", calibration(kPicture));
    const int64_t before = zeros(graph);
    run_recipe(graph, later, calibration(kPicture));
    EXPECT_GE(zeros(graph), before) << later;
  }
}

}  // namespace
}  // namespace pare
