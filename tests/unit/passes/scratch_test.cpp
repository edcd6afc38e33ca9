// Passes that stand around training from scratch: initialize-weights and cut-graph.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "passes/pass.h"
#include "passes/weights.h"
#include "support/networks.h"

namespace pare {
namespace {

double deviation(const Array& array) {
  double squares = 0;
  for (float v : array.to_floats()) squares += double(v) * v;
  return std::sqrt(squares / double(array.count()));
}

TEST(InitializeWeights, DrawsByTheInputsOfAnOutputAndResetsTheRest) {
  testing::Network n(5);
  ValueId x = n.node("Relu", {n.batch_norm(n.conv(n.input("image", {1, 8, 12, 12}), 8, 64, 3, 1), 64)});
  x = n.node("ConvTranspose", {x, n.constant({64, 32, 4, 4}), n.constant({32})}, {{"strides", std::vector<int64_t>{2, 2}}});
  Graph graph = n.finish(n.node("Gemm", {n.node("Flatten", {n.node("GlobalAveragePool", {x})}), n.constant({50, 32}), n.constant({50})}, {{"transB", int64_t(1)}}));
  Graph again = graph, other = graph;
  run_recipe(graph, "initialize-weights", {});
  run_recipe(again, "initialize-weights", {});
  PipelineInputs seeded;
  seeded.seed = 2;
  run_recipe(other, "initialize-weights", seeded);
  const auto weight = [](const Graph& g, size_t node) { return g.constant(g.nodes[node].inputs[1])->array(); };
  EXPECT_NEAR(deviation(weight(graph, 0)), std::sqrt(2.0 / 72), 0.01);            // rectified behind its normalization
  EXPECT_NEAR(deviation(weight(graph, 3)), std::sqrt(1.0 / (64 * 16 / 4)), 0.002);  // every second tap of each axis meets an output
  EXPECT_NEAR(deviation(weight(graph, 6)), std::sqrt(1.0 / 32), 0.012);
  EXPECT_EQ(deviation(graph.constant(graph.nodes[0].inputs[2])->array()), 0);
  const Node& norm = graph.nodes[1];
  for (size_t i : {1, 4}) EXPECT_EQ(deviation(graph.constant(norm.inputs[i])->array()), 1);
  for (size_t i : {2, 3}) EXPECT_EQ(deviation(graph.constant(norm.inputs[i])->array()), 0);
  EXPECT_TRUE(weight(graph, 0).same_as(weight(again, 0)));
  EXPECT_FALSE(weight(graph, 0).same_as(weight(other, 0)));
}

TEST(InitializeWeights, LeavesWhatIsExcluded) {
  const Graph network = testing::residual_network();
  Graph graph = network;
  run_recipe(graph, "initialize-weights{exclude=Gemm}", {});
  int same = 0;
  for (const WeightUse& use : weight_uses(network)) same += graph.constant(graph.find(network.at(use.value).name))->array().same_as(network.constant(use.value)->array());
  EXPECT_EQ(same, 1);
}

TEST(CutGraph, ComputesTheSameFromTheCutOn) {
  const Graph network = testing::residual_network();
  const Array picture = testing::random_array({1, 3, 17, 19}, 4);
  const std::vector<Array> values = run_reference(network, {picture}, {"v_Relu6", "v_Flatten14"});
  Graph middle = network;
  run_recipe(middle, "cut-graph{inputs=v_Relu6, outputs=v_Flatten14}", {});
  EXPECT_EQ(middle.inputs.size(), 1u);
  EXPECT_LT(middle.nodes.size(), network.nodes.size());
  EXPECT_TRUE(run_reference(middle, {values[1]})[0].same_as(values[2]));
}

TEST(CutGraph, SaysWhatItCannotCut) {
  const auto problem = [](const std::string& recipe) {
    Graph graph = testing::residual_network();
    try {
      run_recipe(graph, recipe, {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(problem("cut-graph{outputs=nothing}").find("'nothing'"), std::string::npos);
  testing::Network split;
  const ValueId x = split.input("image", {1, 4});
  const ValueId a = split.graph.add_value("a", Type::f32), b = split.graph.add_value("b", Type::f32);
  split.graph.add_node("Split", {x}, {a, b}).attributes["axis"] = int64_t(1);
  Graph halves = split.finish(split.node("Add", {a, b}));
  EXPECT_THROW(run_recipe(halves, "cut-graph{inputs=a, outputs=b}", {}), Error);
  // Relu3 lies on one branch only: the sum behind it also needs what the shortcut reads.
  EXPECT_NE(problem("cut-graph{inputs=v_Relu3}").find("'image'"), std::string::npos) << problem("cut-graph{inputs=v_Relu3}");
}

}  // namespace
}  // namespace pare
