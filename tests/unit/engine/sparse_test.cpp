// Layers whose weights hold zeros against the reference engine.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::relative_error;

SessionOptions always(int threads) {
  SessionOptions options;
  options.threads = threads;
  options.use_cache = false;
  options.sparse = SparseLayers::always;
  return options;
}

// Sets the share `zeros` of every matrix and kernel to zero; of four neighbouring outputs together where `fours`.
void prune(Graph& graph, double zeros, bool fours = false) {
  for (Value& value : graph.values) {
    if (!value.constant || value.constant->dims.size() < 2) continue;
    Array array = value.constant->decode();
    const int64_t inner = array.count() / array.dim(0);
    auto values = array.mutable_values<float>();
    for (int64_t o = 0; o < array.dim(0); ++o) {
      Random row(uint64_t(fours ? o / 4 : o) + 11);
      for (int64_t k = 0; k < inner; ++k)
        if (row.uniform() < zeros) values[size_t(o * inner + k)] = 0;
    }
    value.constant = std::make_shared<Tensor>(array);
  }
}

Graph pruned_network(const Dims& dims, double zeros, bool fours = false) {
  Graph graph = testing::residual_network(dims[0]);
  for (Value& value : graph.values)
    if (!value.constant) value.shape.reset();
  graph.at(graph.inputs[0]).shape = shape_of(dims);
  infer_shapes(graph);
  prune(graph, zeros, fours);
  return graph;
}

int count_sparse(const Session& session) {
  int count = 0;
  for (const LayerReport& layer : session.layers()) count += layer.implementation.starts_with("sparse");
  return count;
}

void expect_like_reference(const Graph& graph, const std::vector<Dims>& dims, const SessionOptions& options, int least) {
  const std::vector<Array> inputs = random_inputs(graph, dims, 3), exact = run_reference(graph, inputs, options.taps);
  Session session(graph, dims, options);
  EXPECT_GE(count_sparse(session), least);
  for (int repeat = 0; repeat < 2; ++repeat) {  // the second run meets memory that the first has used
    const std::vector<Array> fast = session.run(inputs);
    ASSERT_EQ(fast.size(), exact.size());
    for (size_t i = 0; i < fast.size(); ++i) EXPECT_LT(relative_error(fast[i], exact[i]), 1e-5) << "output " << i;
  }
}

TEST(Sparse, ResidualNetworkAgreesWithTheReference) {
  for (const int threads : {1, 2})
    for (const bool fours : {false, true})
      for (const Dims& dims : {Dims{1, 3, 32, 32}, Dims{3, 3, 16, 24}, Dims{1, 3, 17, 19}}) {
        SessionOptions options = always(threads);
        options.tune = threads == 1 && dims[0] == 1;
        expect_like_reference(pruned_network(dims, 0.8, fours), {dims}, options, 1);
      }
}

TEST(Sparse, MeasuredChoicesAgreeWithTheReference) {
  const Graph graph = pruned_network({1, 3, 32, 32}, 0.95);
  SessionOptions options = always(2);
  options.sparse = SparseLayers::measured;
  expect_like_reference(graph, {{1, 3, 32, 32}}, options, 0);
}

TEST(Sparse, TapsAreValuesOfLayersThatWouldBeFused) {
  const Graph graph = pruned_network({1, 3, 32, 32}, 0.8);
  SessionOptions options = always(1);
  for (const Node& node : graph.nodes)
    if (node.outputs[0] != graph.outputs[0]) options.taps.push_back(graph.at(node.outputs[0]).name);
  expect_like_reference(graph, {{1, 3, 32, 32}}, options, 1);
}

TEST(Sparse, LayersBetweenSparseOnesReadTheirMaps) {
  testing::Network n;
  const ValueId x = n.input("x", {2, 16, 16, 16});
  const ValueId a = n.node("Sigmoid", {n.conv(x, 16, 16, 3, 1)}), b = n.conv(a, 16, 16, 1, 1);
  const ValueId c = n.node("Add", {n.node("Mul", {a, b}), n.conv(x, 16, 16, 5, 1)});
  const ValueId d = n.node("MaxPool", {c}, {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}});
  const ValueId e = n.node("Concat", {n.conv(d, 16, 16, 3, 1), n.node("Transpose", {n.conv(d, 16, 16, 3, 1)}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}})}, {{"axis", int64_t(1)}});
  Graph graph = n.finish(n.clip(n.conv(e, 32, 8, 3, 2), -0.25f, 0.5f));
  prune(graph, 0.8);
  expect_like_reference(graph, {{2, 16, 16, 16}}, always(1), 4);
}

TEST(Sparse, WideAndDilatedKernelsAgreeWithTheReference) {
  for (const int threads : {1, 2}) {
    testing::Network n;
    const ValueId x = n.input("x", {1, 16, 24, 32});
    const ValueId a = n.node("Relu", {n.conv(x, 16, 16, 5, 1)}), b = n.conv(a, 16, 8, 1, 1), c = n.conv(b, 8, 16, 7, 2);
    const ValueId d = n.node("Conv", {c, n.constant({16, 16, 3, 3})}, {{"dilations", std::vector<int64_t>{2, 2}}, {"pads", std::vector<int64_t>{2, 2, 2, 2}}});
    Graph graph = n.finish(n.node("Add", {d, c}));
    prune(graph, 0.8);
    // Two threads may take a plan of two bands, whose sub-tiles are too low for one of the windows.
    expect_like_reference(graph, {{1, 16, 24, 32}}, always(threads), threads == 1 ? 4 : 3);
  }
}

// 7x7 pixels in lanes for 8x8: what lies beside them must count as zero wherever it is read.
TEST(Sparse, PlacesBesidePartialMapsAreZero) {
  for (const int threads : {1, 2}) {
    testing::Network n;
    const ValueId x = n.input("x", {1, 16, 7, 7}), one = n.constant({16}, 1.0f);
    const auto layer = [&](ValueId from, int64_t kernel, int64_t stride, Dims pads) {
      return n.node("Conv", {from, n.constant({16, 16, kernel, kernel}), one}, {{"strides", Dims{stride, stride}}, {"pads", pads}});
    };
    const ValueId a = n.node("Relu", {layer(x, 1, 1, {0, 0, 0, 0})});
    const ValueId mean = n.node("GlobalAveragePool", {n.node("Relu", {n.node("Add", {layer(a, 1, 1, {0, 0, 0, 0}), a})})});
    const ValueId halved = n.node("GlobalAveragePool", {layer(layer(a, 1, 1, {0, 0, 0, 0}), 2, 2, {0, 0, 1, 1})});
    Graph graph = n.finish(n.node("Add", {mean, halved}));
    prune(graph, 0.8);
    expect_like_reference(graph, {{1, 16, 7, 7}}, always(threads), 3);
  }
}

TEST(Sparse, LinearLayersAgreeWithTheReference) {
  for (const int threads : {1, 2})
    for (const int64_t rows : {1, 3, 4, 16, 37}) {
      testing::Network n;
      const ValueId x = n.input("x", {rows, 40});
      const ValueId a = n.node("Relu", {n.node("Gemm", {x, n.constant({56, 40}), n.constant({56})}, {{"transB", int64_t(1)}})});
      const ValueId b = n.node("Add", {n.node("MatMul", {a, n.constant({56, 40})}), n.constant({40})});
      Graph graph = n.finish(n.node("Add", {n.node("Sigmoid", {b}), x}));
      prune(graph, 0.7);
      expect_like_reference(graph, {{rows, 40}}, always(threads), 2);
    }
}

// Its result has more axes than the layer's, so it is no part of the layer.
TEST(Sparse, ABiasOfMoreAxesIsAddedBehind) {
  testing::Network n;
  const ValueId x = n.input("x", {17, 40});
  Graph graph = n.finish(n.node("Add", {n.node("MatMul", {x, n.constant({40, 64})}), n.constant({1, 1, 1, 64})}));
  prune(graph, 0.7);
  expect_like_reference(graph, {{17, 40}}, always(2), 1);
}

TEST(Sparse, SequencesThroughLinearLayers) {
  testing::Network n;
  const ValueId x = n.input("x", {2, 9, 32});
  const ValueId a = n.node("Add", {n.node("MatMul", {x, n.constant({32, 64})}), n.constant({64})});
  const ValueId b = n.node("MatMul", {n.node("Relu", {a}), n.constant({64, 32})});
  Graph graph = n.finish(n.node("Transpose", {b}, {{"perm", std::vector<int64_t>{0, 2, 1}}}));
  prune(graph, 0.8);
  SessionOptions options = always(2);
  options.taps = {graph.at(a).name};
  expect_like_reference(graph, {{2, 9, 32}}, options, 2);
}

TEST(Sparse, DenseWeightsStayDense) {
  Session session(pruned_network({1, 3, 32, 32}, 0), {{1, 3, 32, 32}}, always(1));
  EXPECT_EQ(count_sparse(session), 0);
}

}  // namespace
}  // namespace pare
