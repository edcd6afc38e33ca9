// Layers written as convolutions over two axes, and slopes, powers and softmax: the plan against the reference.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::relative_error;

// How many layers the reference computes in the plan of `graph`, whose results must be the reference's.
int interpreted(const Graph& graph, const Dims& dims) {
  const std::vector<Array> inputs = random_inputs(graph, {dims}, 3), exact = run_reference(graph, inputs);
  int count = 0;
  for (int threads : {1, 2}) {
    SessionOptions options;
    options.threads = threads;
    options.use_cache = false;
    options.tune = false;
    Session session(graph, {dims}, options);
    const std::vector<Array> fast = session.run(inputs);
    EXPECT_EQ(fast[0].dims(), exact[0].dims());
    EXPECT_LT(relative_error(fast[0], exact[0]), 2e-5);
    const auto layers = session.layers();
    count = int(std::count_if(layers.begin(), layers.end(), [](const LayerReport& layer) { return layer.implementation == "reference"; }));
  }
  return count;
}

struct Transposed {
  int64_t kernel, stride, pad, extra, dilation, group;
};

TEST(AsConvolutions, TransposedInPhases) {
  for (const Transposed& t : {Transposed{9, 2, 4, 1, 1, 1}, {2, 2, 0, 0, 1, 1}, {4, 2, 1, 0, 1, 1}, {3, 2, 1, 0, 1, 1}, {3, 3, 0, 2, 1, 2}, {2, 4, 0, 0, 1, 1}, {3, 1, 1, 0, 1, 1},
                              {3, 2, 2, 1, 2, 1}, {4, 2, 1, 0, 1, 6}, {5, 2, 4, 0, 1, 1}, {1, 3, 0, 0, 1, 1}}) {
    testing::Network n;
    const ValueId x = n.input("x", {2, 6, 7, 5});
    const ValueId y = n.node("ConvTranspose", {x, n.constant({6, 4, t.kernel, t.kernel}, 0.2f), n.constant({4 * t.group})},
                             {{"strides", std::vector<int64_t>(2, t.stride)}, {"pads", std::vector<int64_t>(4, t.pad)}, {"output_padding", std::vector<int64_t>(2, t.extra)},
                              {"dilations", std::vector<int64_t>(2, t.dilation)}, {"group", t.group}});
    EXPECT_EQ(interpreted(n.finish(n.node("Relu", {y})), {2, 6, 7, 5}), 0) << "kernel " << t.kernel << " stride " << t.stride;
  }
}

TEST(AsConvolutions, OneAxis) {
  testing::Network n;
  const ValueId x = n.node("Relu", {n.input("x", {2, 8, 31})});  // a view of an input would be copied
  ValueId y = n.node("Conv", {x, n.constant({16, 8, 5}, 0.2f), n.constant({16})}, {{"strides", std::vector<int64_t>{2}}, {"pads", std::vector<int64_t>{2, 1}}});
  y = n.node("Relu", {y});
  y = n.node("Conv", {y, n.constant({16, 1, 3}, 0.3f)}, {{"dilations", std::vector<int64_t>{2}}, {"group", int64_t(16)}, {"kernel_shape", std::vector<int64_t>{3}}});
  EXPECT_EQ(interpreted(n.finish(y), {2, 8, 31}), 0);
}

TEST(AsConvolutions, OneColumn) {
  testing::Network n;
  const ValueId x = n.node("Relu", {n.input("x", {1, 8, 31, 1})});
  const ValueId y = n.node("Conv", {x, n.constant({16, 8, 5, 1}, 0.2f), n.constant({16})}, {{"strides", std::vector<int64_t>{2, 1}}, {"pads", std::vector<int64_t>{2, 0, 1, 0}}});
  EXPECT_EQ(interpreted(n.finish(n.node("Relu", {y})), {1, 8, 31, 1}), 0);
}

TEST(AsConvolutions, DropoutOfNothingInTrainingMode) {
  testing::Network n;
  const ValueId x = n.input("x", {1, 8, 5, 5});
  const ValueId y = n.node("Dropout", {x, n.graph.add_constant("ratio", Array::scalar(0.f)), n.graph.add_constant("mode", Array::scalar(true))});
  EXPECT_EQ(interpreted(n.finish(n.node("Relu", {y})), {1, 8, 5, 5}), 0);
}

TEST(AsConvolutions, LoneBatchNorm) {
  testing::Network n;
  const ValueId x = n.input("x", {2, 3, 9, 7}), a = n.conv(x, 3, 10, 3, 1), b = n.conv(a, 10, 6, 1, 1);
  const ValueId joined = n.node("Concat", {a, b}, {{"axis", int64_t(1)}});
  EXPECT_EQ(interpreted(n.finish(n.conv(n.node("Relu", {n.batch_norm(joined, 16)}), 16, 4, 3, 1)), {2, 3, 9, 7}), 0);
}

TEST(AsConvolutions, SlopesPowersAndColumns) {
  for (int64_t channels : {16, 12}) {
    testing::Network n;
    const ValueId x = n.input("x", {1, 3, 6, 7});
    ValueId y = n.node("PRelu", {n.conv(x, 3, channels, 3, 1), n.constant({channels, 1, 1})});
    y = n.node("PRelu", {n.conv(y, channels, channels, 3, 1), n.constant({1, 1, 1})});
    const ValueId square = n.node("Pow", {y, n.graph.add_constant("two", Array::scalar(2.f))});
    const ValueId root = n.node("Pow", {square, n.graph.add_constant("quarter", Array::scalar(0.25f))});
    EXPECT_EQ(interpreted(n.finish(n.node("Softmax", {root}, {{"axis", int64_t(1)}})), {1, 3, 6, 7}), 0);
  }
}

}  // namespace
}  // namespace pare
