// Gradients with activations computed twice are the gradients.
#include "train/torch/segments.h"

#include <gtest/gtest.h>

#include "../../support/decoders.h"
#include "graph/adapters.h"
#include "train/torch/arrays.h"

namespace pare {
namespace {

Graph adapted_decoder(const Codec* codec) {
  DecoderShape shape = testing::small_shape();
  shape.layers = 3;
  Graph graph = testing::small_decoder(shape, codec);
  for (const AdaptableLayer& layer : adaptable_layers(graph)) {
    if (layer.name.find("layers.0.") != std::string::npos) continue;  // nothing is trained in front
    AdapterFactors values{layer.name, testing::random_array({2, layer.a[1]}, uint64_t(layer.node)),
                          testing::random_array({layer.b[0], 2}, uint64_t(layer.node) + 99), 0.3};
    add_adapter(graph, layer, values);
  }
  graph.sort();
  infer_shapes(graph);
  verify(graph);
  return graph;
}

std::vector<ValueId> factors_of(const Graph& graph) {
  std::vector<ValueId> ids;
  for (const Adapter& adapter : find_adapters(graph))
    for (const int node : {adapter.down, adapter.up}) ids.push_back(graph.nodes[size_t(node)].inputs[1]);
  return ids;
}

at::Tensor loss_of(const std::vector<at::Tensor>& values) {
  return (values[0] * at::arange(values[0].numel(), values[0].options()).reshape(values[0].sizes()).sin()).sum();
}

std::vector<at::Tensor> leaves_in(Interpreter& interpreter, const std::vector<ValueId>& ids) {
  std::vector<at::Tensor> leaves;
  for (ValueId id : ids) {
    leaves.push_back(interpreter.constant(id).clone().requires_grad_(true));
    interpreter.set(id, leaves.back());
  }
  return leaves;
}

class SegmentGradients : public ::testing::TestWithParam<const Codec*> {};

TEST_P(SegmentGradients, AreThoseOfTheWholeGraph) {
  const Graph graph = adapted_decoder(GetParam());
  const std::vector<ValueId> trained = factors_of(graph);
  ASSERT_EQ(trained.size(), 2u * 7 * 2);
  Interpreter whole(graph), parts(graph, at::kFloat, Weights::stored);
  const std::vector<at::Tensor> expected = leaves_in(whole, trained), found = leaves_in(parts, trained);
  const std::vector<at::Tensor> inputs = whole.inputs_of({testing::token_ids({3, 14, 15, 9, 2, 6})});
  loss_of(whole.run(inputs, graph.outputs)).backward();
  const Segments segments(parts, trained, graph.outputs);
  EXPECT_GT(segments.count(), 4u);
  segments.backward(inputs, loss_of);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_TRUE(found[i].grad().defined()) << i;
    EXPECT_GT(at::abs(expected[i].grad()).max().item<double>(), 0) << i;
    EXPECT_LT(at::abs(found[i].grad() - expected[i].grad()).max().item<double>(),
              1e-5 * at::abs(expected[i].grad()).max().item<double>())
        << i;
  }
}
INSTANTIATE_TEST_SUITE_P(Bases, SegmentGradients, ::testing::Values(nullptr, &codec_q4_0, &codec_bfloat16),
                         [](const auto& which) { return which.param == nullptr ? "float" : which.param->name; });

}  // namespace
}  // namespace pare
