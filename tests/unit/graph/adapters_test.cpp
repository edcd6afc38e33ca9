#include "graph/adapters.h"

#include <gtest/gtest.h>

#include "../../support/networks.h"
#include "graph/op.h"

namespace pare {
namespace {

struct LayerCase {
  const char* op;
  Dims x, weight;
  std::map<std::string, Attribute> attributes;
};

Graph one_layer(const LayerCase& c) {
  Graph graph;
  graph.opsets[""] = 18;
  graph.inputs = {graph.add_value("x", Type::f32, shape_of(c.x))};
  graph.outputs = {graph.add_value("y", Type::f32)};
  const ValueId w = graph.add_constant("dense.weight", Tensor(testing::random_array(c.weight, 5)));
  Node& node = graph.add_node(c.op, {graph.inputs[0], w}, graph.outputs);
  node.name = "dense";
  node.attributes = c.attributes;
  infer_shapes(graph);
  return graph;
}

AdapterFactors random_values(const AdaptableLayer& layer, int64_t rank) {
  Dims a = layer.a, b = layer.b;
  a[0] = b[1] = rank;
  return {layer.name, testing::random_array(a, 7), testing::random_array(b, 8), 0.75};
}

class Layers : public ::testing::TestWithParam<LayerCase> {};

// y + s·B·A·x, whether by the adapter's nodes or in the layer's weight.
TEST_P(Layers, AdaptersAndMergedWeightsComputeTheSame) {
  const Graph plain = one_layer(GetParam());
  const auto layers = adaptable_layers(plain);
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].name, "dense");
  const AdapterFactors values = random_values(layers[0], 3);
  Graph adapted = plain, merged = plain;
  add_adapter(adapted, layers[0], values);
  adapted.sort();
  infer_shapes(adapted);
  verify(adapted);
  EXPECT_TRUE(adaptable_layers(adapted).empty());
  Array weight = plain.constant(layers[0].weight)->array();
  const Array product = adapter_weight(plain, layers[0], values);
  for (size_t i = 0; i < size_t(weight.count()); ++i) weight.mutable_values<float>()[i] += product.values<float>()[i];
  merged.at(layers[0].weight).constant = std::make_shared<const Tensor>(weight);
  const std::vector<Array> x{testing::random_array(GetParam().x, 6)};
  const Array expected = evaluate(merged, x)[0], found = evaluate(adapted, x)[0], before = evaluate(plain, x)[0];
  EXPECT_LT(testing::relative_error(found, expected), 1e-5);
  EXPECT_GT(testing::relative_error(before, expected), 0.1);
  // What was put in is found again, and taken out leaves what was there.
  const auto adapters = find_adapters(adapted);
  ASSERT_EQ(adapters.size(), 1u);
  EXPECT_TRUE(adapters[0].values.a.same_as(values.a));
  EXPECT_TRUE(adapters[0].values.b.same_as(values.b));
  EXPECT_EQ(adapters[0].values.scale, 0.75);
  remove_adapter(adapted, adapters[0]);
  adapted.remove_unused();
  EXPECT_EQ(print(adapted, true), print(plain, true));
}
INSTANTIATE_TEST_SUITE_P(
    EveryOperator, Layers,
    ::testing::Values(LayerCase{"Gemm", {4, 6}, {6, 5}, {}},
                      LayerCase{"Gemm", {4, 6}, {5, 6}, {{"transB", int64_t(1)}}},
                      LayerCase{"MatMul", {2, 4, 6}, {6, 5}, {}},
                      LayerCase{"Conv",
                                {1, 3, 7, 8},
                                {5, 3, 3, 2},
                                {{"pads", std::vector<int64_t>{1, 0, 1, 1}}, {"strides", std::vector<int64_t>{2, 1}}}},
                      LayerCase{"Conv", {2, 3, 9}, {4, 3, 3}, {{"dilations", std::vector<int64_t>{2}}}}),
    [](const auto& which) { return which.param.op + std::to_string(which.index); });

// W 2x2, A 1x2, B 2x1.
TEST(Adapters, OfANumberWorkedByHand) {
  Graph graph = one_layer({"Gemm", {1, 2}, {2, 2}, {{"transB", int64_t(1)}}});
  const AdaptableLayer layer = adaptable_layers(graph)[0];
  graph.at(layer.weight).constant = std::make_shared<const Tensor>(Array::of<float>({2, 2}, {1, 2, 3, 4}));
  add_adapter(graph, layer, {"dense", Array::of<float>({1, 2}, {1, -1}), Array::of<float>({2, 1}, {10, 20}), 0.5});
  graph.sort();
  // x = (2, 1): W·x = (4, 10), A·x = 1, s·B·A·x = (5, 10).
  EXPECT_EQ(evaluate(graph, {Array::of<float>({1, 2}, {2, 1})})[0].to_floats(), (std::vector<float>{9, 20}));
}

TEST(Adapters, StandAsStandardNodes) {
  Graph graph = one_layer({"MatMul", {2, 2}, {2, 2}, {}});
  const AdaptableLayer layer = adaptable_layers(graph)[0];
  add_adapter(graph, layer, random_values(layer, 1));
  graph.sort();
  infer_shapes(graph);
  std::string nodes;
  for (const Node& node : graph.nodes) {
    nodes += node.name + " = " + node.op_type + "(";
    for (ValueId id : node.inputs) nodes += graph.at(id).name + " ";
    nodes += ") → " + graph.at(node.outputs[0]).name + "\n";
  }
  EXPECT_EQ(nodes,
            "dense = MatMul(x dense.weight ) → y_base\n"
            "dense_lora_a = MatMul(x dense.lora_A.weight ) → dense_lora_a\n"
            "dense_lora_scaled = Mul(dense_lora_a dense.lora_scale ) → dense_lora_scaled\n"
            "dense_lora_b = MatMul(dense_lora_scaled dense.lora_B.weight ) → dense_lora_b\n"
            "dense_lora_sum = Add(y_base dense_lora_b ) → y\n");
}

TEST(Adapters, StandOnlyWhereTheyCan) {
  EXPECT_TRUE(adaptable_layers(one_layer({"Conv", {1, 4, 5, 5}, {4, 2, 3, 3}, {{"group", int64_t(2)}}})).empty());
  EXPECT_TRUE(adaptable_layers(one_layer({"Gemm", {2, 4}, {3, 4}, {{"transB", int64_t(1)}, {"alpha", 2.f}}})).empty());
  Graph shared = one_layer({"MatMul", {2, 2}, {2, 2}, {}});
  const ValueId again = shared.add_value("z", Type::f32);
  shared.add_node("MatMul", {shared.outputs[0], shared.nodes[0].inputs[1]}, {again}).name = "again";
  shared.outputs = {again};
  EXPECT_TRUE(adaptable_layers(shared).empty());
  Graph graph = one_layer({"MatMul", {2, 6}, {6, 5}, {}});
  const AdaptableLayer layer = adaptable_layers(graph)[0];
  EXPECT_THROW(add_adapter(graph, layer, {"dense", Array(Type::f32, {2, 5}), Array(Type::f32, {6, 2}), 1}), Error);
}

}  // namespace
}  // namespace pare
