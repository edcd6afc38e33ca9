#include "engine/engine.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::relative_error;

SessionOptions quick(int threads = 1) {
  SessionOptions options;
  options.threads = threads;
  options.use_cache = false;
  return options;
}

void expect_like_reference(const Graph& graph, const std::vector<Dims>& dims, const SessionOptions& options) {
  const std::vector<Array> inputs = random_inputs(graph, dims, 3);
  const std::vector<Array> exact = run_reference(graph, inputs, options.taps);
  Session session(graph, dims, options);
  for (int repeat = 0; repeat < 2; ++repeat) {  // the second run meets memory that the first has used
    const std::vector<Array> fast = session.run(inputs);
    ASSERT_EQ(fast.size(), exact.size());
    for (size_t i = 0; i < fast.size(); ++i) EXPECT_LT(relative_error(fast[i], exact[i]), 1e-5) << "output " << i;
  }
}

TEST(Session, ResidualNetworkAgreesWithTheReference) {
  for (int threads : {1, 2})
    for (bool norm : {false, true})
      for (int64_t batch : {1, 3}) {
        const Graph graph = testing::residual_network(batch, norm);
        expect_like_reference(graph, {{batch, 3, 17, 19}}, quick(threads));
      }
}

TEST(Session, MobileNetworkAgreesWithTheReference) {
  expect_like_reference(testing::mobile_network(2), {{2, 3, 20, 20}}, quick(2));
}

TEST(Session, TapsGiveValuesInsideFusedLayers) {
  const Graph graph = testing::residual_network();
  SessionOptions options = quick();
  for (const Node& node : graph.nodes)
    if (node.outputs[0] != graph.outputs[0]) options.taps.push_back(graph.at(node.outputs[0]).name);
  expect_like_reference(graph, {{1, 3, 17, 19}}, options);
}

TEST(Session, FusesConvolutionWithSumAndActivation) {
  Session session(testing::residual_network(), {{1, 3, 17, 19}}, quick());
  std::vector<std::string> ops;
  for (const LayerReport& layer : session.layers()) ops.push_back(layer.op);
  EXPECT_NE(std::find(ops.begin(), ops.end(), "Conv+Add+Relu"), ops.end());
  EXPECT_EQ(std::find(ops.begin(), ops.end(), "Add"), ops.end());
}

TEST(Session, RefusesInputsOfAnotherShape) {
  Session session(testing::residual_network(), {{1, 3, 17, 19}}, quick());
  EXPECT_THROW(session.run({Array(Type::f32, {1, 3, 16, 19})}), Error);
  EXPECT_THROW(session.run({}), Error);
}

TEST(Session, NamesTheOperatorItCannotRun) {
  testing::Network n;
  const ValueId x = n.node("Frobnicate", {n.input("x", {1, 4})});
  n.graph.outputs.push_back(x);
  n.graph.at(x).shape = shape_of({1, 4});
  try {
    Session session(n.graph, {{1, 4}}, quick());
    FAIL() << "an unknown operator was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("Frobnicate"), std::string::npos);
  }
}

TEST(Session, ElementwiseChainsAndConstants) {
  testing::Network n;
  ValueId x = n.input("x", {2, 5, 6, 7});
  ValueId y = n.node("Mul", {x, n.constant({5, 1, 1})});
  y = n.node("Add", {y, n.constant({1})});
  y = n.node("Sigmoid", {y});
  y = n.node("Sub", {y, x});
  y = n.node("Concat", {y, x}, {{"axis", int64_t(1)}});
  y = n.node("Transpose", {y}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  expect_like_reference(n.finish(n.node("Softmax", {y}, {{"axis", int64_t(-1)}})), {{2, 5, 6, 7}}, quick());
}

TEST(DefaultInputDims, TakeTheHeightThatAModelOfOpenHeightNeeds) {
  testing::Network n;
  const ValueId x = n.input("lines", {1, 3, 48, 48});
  n.graph.at(x).shape = Shape{{-1, "N"}, {3, ""}, {-1, "H"}, {-1, "W"}};
  const ValueId rows = n.node("Reshape", {x, n.graph.add_constant("rows", Array::of<int64_t>({4}, {0, 3, 48, -1}))});
  EXPECT_EQ(default_input_dims(n.finish(rows), 2), (std::vector<Dims>{{2, 3, 48, 48}})) << "128 rows cannot become 48";
  testing::Network any;
  const ValueId y = any.input("image", {1, 3, 8, 8});
  any.graph.at(y).shape = Shape{{-1, "N"}, {3, ""}, {-1, "H"}, {-1, "W"}};
  EXPECT_EQ(default_input_dims(any.finish(any.node("Relu", {y})), 1), (std::vector<Dims>{{1, 3, assumed_extent, assumed_extent}}));
}

}  // namespace
}  // namespace pare
