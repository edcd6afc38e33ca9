#include "graph/graft.h"

#include <gtest/gtest.h>

#include "support/networks.h"

namespace pare {
namespace {

Graph two_layers() {
  testing::Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 6, 6}), 3, 8, 3, 1)});
  return n.finish(n.conv(x, 8, 4, 1, 1));
}

// As quantization leaves it: the first layer's weight changed, the second's input goes through a pair of nodes.
Graph other_form(Graph graph) {
  Array weight = graph.constant(graph.nodes[0].inputs[1])->array();
  for (float& v : weight.mutable_values<float>()) v *= 2;
  graph.nodes[0].inputs[1] = graph.add_constant("doubled", Tensor(weight));
  const ValueId x = graph.nodes[2].inputs[0], scale = graph.add_constant("s", Array::scalar(0.1f)), zero = graph.add_constant("z", Array::scalar<uint8_t>(0));
  const ValueId q = graph.add_value("x_q", Type::u8), d = graph.add_value("x_d", Type::f32);
  graph.add_node("QuantizeLinear", {x, scale, zero}, {q});
  graph.add_node("DequantizeLinear", {q, scale, zero}, {d});
  graph.nodes[2].inputs[0] = d;
  graph.sort();
  infer_shapes(graph);
  verify(graph);
  return graph;
}

int pairs(const Graph& graph) {
  int count = 0;
  for (const Node& node : graph.nodes) count += node.is("QuantizeLinear");
  return count;
}

TEST(Graft, FindsTheLayersThatReadSomethingElse) {
  const Graph first = two_layers(), second = other_form(first);
  const auto layers = shared_layers(first, second);
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[0].value, "v_Conv0");
  EXPECT_TRUE(shared_layers(first, first).empty());
}

TEST(Graft, TakesOneLayerAndNothingElse) {
  const Graph first = two_layers(), second = other_form(first);
  const auto layers = shared_layers(first, second);
  Graph host = first;
  graft_layer(host, layers[0].first, second, layers[0].second);
  verify(host);
  EXPECT_EQ(pairs(host), 0);
  EXPECT_EQ(shared_layers(host, second).size(), 1u);
  host = first;
  graft_layer(host, layers[1].first, second, layers[1].second);
  verify(host);
  EXPECT_EQ(pairs(host), 1) << "the quantizer comes with the layer that reads it";
  EXPECT_EQ(shared_layers(host, first).size(), 1u);
  host = first;
  graft_layer(host, layers[1].first, second, layers[1].second, Graft::constants);
  EXPECT_EQ(pairs(host), 0);
}

}  // namespace
}  // namespace pare
