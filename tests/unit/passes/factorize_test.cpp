// factorize-linear: the best factors for given inputs, and graphs with two layers for one.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "passes/pass.h"
#include "passes/solvers/low_rank.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::random_array;

// Σ over rows of (w − left·right)·H·(w − left·right)ᵀ.
double loss(const std::vector<float>& w, const LowRank& factors, int64_t rows, int64_t n, const std::vector<double>& h) {
  double sum = 0;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<double> miss(size_t(n), 0.0);
    for (int64_t c = 0; c < n; ++c) {
      miss[size_t(c)] = w[size_t(r * n + c)];
      for (int64_t k = 0; k < factors.rank; ++k) miss[size_t(c)] -= double(factors.left[size_t(r * factors.rank + k)]) * factors.right[size_t(k * n + c)];
    }
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) sum += miss[size_t(i)] * h[size_t(i * n + j)] * miss[size_t(j)];
  }
  return sum;
}

// Inputs of 30 samples that go together; H with the damping that factorize() adds.
std::vector<double> moments(int64_t n, double damping) {
  const std::vector<float> x = random_array({30, n}, 9).to_floats();
  std::vector<double> h(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t s = 0; s < 30; ++s) h[size_t(i * n + j)] += double(x[size_t(s * n + i)]) * x[size_t(s * n + j)] * (1 + double(i % 4)) * (1 + double(j % 4));
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += h[size_t(i * n + i)] / double(n);
  for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] += damping * mean;
  return h;
}

TEST(LowRank, NoSmallChangeOfTheFactorsIsBetterAndTheErrorIsTheOneTold) {
  for (const auto& [rows, n] : {std::pair<int64_t, int64_t>{9, 14}, {14, 9}}) {
    const std::vector<float> w = random_array({rows, n}, 4).to_floats();
    const std::vector<double> h = moments(n, 0);
    std::vector<double> damped = moments(n, 0.01);
    const LowRank best = factorize(w, rows, n, h, 0.01, 4), plain = factorize(w, rows, n, {}, 0.01, 4);
    const double least = loss(w, best, rows, n, damped);
    LowRank none{1, std::vector<float>(size_t(rows), 0.f), std::vector<float>(size_t(n), 0.f), 0};
    EXPECT_NEAR(least / loss(w, none, rows, n, damped), best.relative_error, 1e-4);
    EXPECT_LT(least, 0.95 * loss(w, plain, rows, n, damped)) << "the data make no difference";
    for (uint64_t seed = 0; seed < 40; ++seed) {
      LowRank other = best;
      const std::vector<float> left = random_array({rows, 4}, seed + 50, 0.02f).to_floats(), right = random_array({4, n}, seed + 90, 0.02f).to_floats();
      for (size_t i = 0; i < left.size(); ++i) other.left[i] += left[i];
      for (size_t i = 0; i < right.size(); ++i) other.right[i] += right[i];
      EXPECT_GT(loss(w, other, rows, n, damped), least);
    }
    EXPECT_LT(factorize(w, rows, n, h, 0.01, 9).relative_error, 1e-9);   // as many as there are
  }
}

Graph two_layers() {
  testing::Network n;
  ValueId x = n.node("MatMul", {n.input("x", {5, 40}), n.constant({40, 64}, 0.2f)});
  x = n.node("Gemm", {n.node("Relu", {x}), n.constant({24, 64}, 0.2f), n.constant({24})}, {{"transB", int64_t(1)}});
  return n.finish(x);
}

double output_db(const Graph& graph, const Graph& small, const std::vector<Array>& input) {
  return testing::sqnr_db(run_reference(small, input)[0], run_reference(graph, input)[0]);
}

TEST(FactorizeLinear, TwoLayersForOneOfTheShareAskedFor) {
  const Graph graph = two_layers();
  // Inputs of few dimensions: only with the data is that known.
  const std::vector<float> mix = random_array({6, 40}, 77).to_floats();
  PipelineInputs inputs;
  inputs.calibration = {20, [mix](int64_t i) {
                          const std::vector<float> seed = random_array({5, 6}, uint64_t(i) + 1).to_floats();
                          Array x(Type::f32, {5, 40});
                          for (int64_t r = 0; r < 5; ++r)
                            for (int64_t c = 0; c < 40; ++c)
                              for (int64_t k = 0; k < 6; ++k) x.mutable_values<float>()[size_t(r * 40 + c)] += seed[size_t(r * 6 + k)] * mix[size_t(k * 40 + c)];
                          return std::vector<Array>{x};
                        }};
  Graph with = graph, without = graph;
  run_recipe(with, "factorize-linear{share=0.6}", inputs);
  run_recipe(without, "factorize-linear{share=0.6}", {});
  EXPECT_EQ(with.nodes.size(), graph.nodes.size() + 2);
  EXPECT_LE(double(count_weights(with).count), 0.6 * double(count_weights(graph).count));
  const std::vector<Array> fresh = inputs.calibration.get(100);
  EXPECT_GT(output_db(graph, with, fresh), output_db(graph, without, fresh) + 6);
  Graph spared = graph;
  run_recipe(spared, "factorize-linear{share=0.6, exclude=Gemm}", {});
  EXPECT_EQ(spared.nodes.size(), graph.nodes.size() + 1);
}

TEST(FactorizeLinear, DataThatAreNotFiniteAreAnError) {
  for (const char* recipe : {"factorize-linear", "quantize-columns", "prune-weights{score=obs}"}) {
    Graph graph = two_layers();
    PipelineInputs inputs;
    inputs.calibration = {4, [](int64_t i) {
                            Array x = random_array({5, 40}, uint64_t(i) + 1);
                            if (i == 2) x.mutable_values<float>()[7] = NAN;
                            return std::vector<Array>{x};
                          }};
    EXPECT_THROW(run_recipe(graph, recipe, inputs), Error) << recipe;
  }
}

}  // namespace
}  // namespace pare
