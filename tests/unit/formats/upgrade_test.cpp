// Models of old operator sets, read and run, against the results ONNX Runtime gave for the original.
#include "golden.h"

namespace pare {
namespace {

class OldOpset : public ::testing::TestWithParam<const char*> {};

TEST_P(OldOpset, MeansTheSameAfterReading) {
  const Golden golden = read_golden(GetParam());
  EXPECT_GE(golden.graph.opset(), 13);
  if (const auto op = missing_reference(golden.graph); !op.empty()) GTEST_SKIP() << op << " has no reference";
  expect_same_results(golden.graph, golden);
}

TEST_P(OldOpset, MeansTheSameAfterRaisingTo21) {
  Golden golden = read_golden(GetParam());
  raise_opset(golden.graph, 21);
  EXPECT_EQ(golden.graph.opset(), 21);
  verify(golden.graph);
  if (const auto op = missing_reference(golden.graph); !op.empty()) GTEST_SKIP() << op << " has no reference";
  expect_same_results(golden.graph, golden);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, OldOpset,
                         ::testing::Values("old_broadcast_6", "old_reshape_1", "attributes_7", "attributes_10", "attributes_12",
                                           "softmax_7_axis_default", "softmax_11_axis_minus2", "logsoftmax_12_axis_2",
                                           "softmax_12_axis_3", "softmax_9_column", "upsample_7", "upsample_9_linear", "resize_10",
                                           "resize_10_smaller", "resize_11_tf", "batch_norm_7", "beyond_13", "subgraphs_11", "top_k_9",
                                           "reduce_l2_13"),
                         [](const auto& test) { return std::string(test.param); });

int count(const Graph& graph, const std::string& op) {
  int n = 0;
  for (const Node& node : graph.nodes) n += node.op_type == op;
  return n;
}

TEST(Upgrade, SoftmaxOverTheLastAxisNeedsNoReshape) {
  EXPECT_EQ(read_golden("softmax_12_axis_3").graph.nodes.size(), 2u);
  EXPECT_EQ(read_golden("softmax_9_column").graph.nodes.size(), 1u);
  EXPECT_EQ(count(read_golden("softmax_7_axis_default").graph, "Flatten"), 1);
}

TEST(Upgrade, Opset18ReadsAxesAndCountsParts) {
  Graph graph = read_golden("beyond_13").graph;
  raise_opset(graph, 18);
  for (const Node& node : graph.nodes) {
    const bool reduces = node.is("ReduceMean") || node.is("ReduceMax");
    EXPECT_EQ(node.integer("num_outputs", 0), node.is("Split") ? 3 : 0);
    if (reduces) {
      EXPECT_EQ(node.inputs.size(), 2u);
    }
    EXPECT_FALSE(node.has("axes"));
  }
}

TEST(Upgrade, OldNormsBecomeTodays) {
  Graph graph = parse("graph opset 1\ninput x: float32 1x2x4x4\na = LpPool(x) {kernel_shape=[2, 2], p=2.0}\nb = GlobalLpPool(a) {p=1.0}\n"
                      "c = MeanVarianceNormalization(x) {across_channels=1}\nd = MeanVarianceNormalization(x)\noutput b\noutput c\noutput d");
  raise_opset(graph, 13);
  EXPECT_EQ(graph.nodes[0].integer("p", 0), 2);
  EXPECT_EQ(graph.nodes[1].integer("p", 0), 1);
  EXPECT_EQ(graph.nodes[2].integers("axes"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(graph.nodes[3].integers("axes"), (std::vector<int64_t>{2, 3}));
  Graph fraction = parse("graph opset 1\ninput x: float32 1x2x4x4\na = GlobalLpPool(x) {p=2.5}\noutput a");
  EXPECT_THROW(raise_opset(fraction, 13), Error);
}

TEST(Upgrade, SubgraphsAreRaisedToo) {
  const Graph graph = read_golden("subgraphs_11").graph;
  const auto branch = graph.nodes.at(0).get<std::shared_ptr<Graph>>("then_branch", nullptr);
  ASSERT_NE(branch, nullptr);
  EXPECT_EQ(branch->opset(), 13);
  EXPECT_TRUE(branch->nodes.at(0).is("Unsqueeze"));
  EXPECT_EQ(branch->nodes.at(0).inputs.size(), 2u);
}

TEST(Upgrade, OtherDomainsAndNewGraphsStayAsTheyAre) {
  Graph graph;
  graph.opsets = {{"", 9}, {"custom", 1}};
  const ValueId x = graph.add_value("x", Type::f32, shape_of({2})), y = graph.add_value("y");
  graph.inputs = {x};
  graph.outputs = {y};
  Node& node = graph.add_node("Softmax", {x}, {y});
  node.domain = "custom";
  node.op = nullptr;
  Graph raised = graph;
  raise_opset(raised, 13);
  EXPECT_EQ(raised.nodes.size(), 1u);
  EXPECT_FALSE(raised.nodes[0].has("axis"));
  raise_opset(raised, 9);
  EXPECT_EQ(raised.opset(), 13);
}

TEST(Upgrade, SaysWhichNodeCannotBeRaised) {
  Graph graph;
  graph.opsets = {{"", 7}};
  const ValueId x = graph.add_value("x", Type::f32, shape_of({2, 3}));
  std::vector<ValueId> inputs{x};
  for (const char* name : {"scale", "bias", "mean", "variance"}) inputs.push_back(graph.add_constant(name, Tensor(Array(Type::f32, {3}))));
  const ValueId y = graph.add_value("y");
  graph.inputs = {x};
  graph.outputs = {y};
  Node& node = graph.add_node("BatchNormalization", inputs, {y});
  node.name = "norm1";
  node.attributes["spatial"] = int64_t(0);
  try {
    raise_opset(graph, 13);
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_NE(error.where().find("norm1"), std::string::npos);
    EXPECT_NE(error.problem().find("spatial"), std::string::npos);
    EXPECT_FALSE(error.fix().empty());
  }
}

}  // namespace
}  // namespace pare
