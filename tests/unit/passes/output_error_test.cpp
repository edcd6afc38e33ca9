// A layer's cost at the output: from the front of the layer on, against the whole model run with that layer changed.
#include "engine/output_error.h"

#include <gtest/gtest.h>

#include <cmath>

#include "passes/pass.h"
#include "support/decoders.h"
#include "support/networks.h"

namespace pare {
namespace {

Graph quantized(const Graph& graph, const Dims& dims) {
  Graph result = graph;
  PipelineInputs inputs;
  inputs.calibration = {4, [dims](int64_t i) { return std::vector<Array>{testing::random_array(dims, uint64_t(i) + 100, 1)}; }};
  run_recipe(result, "quantize-static", inputs);
  return result;
}

// Extents that follow from the data's shape, a branch around the layers, and an output that lies in front of most of them.
Graph branching_network() {
  testing::Network n;
  const ValueId x = n.input("x", {1, 3, 12, 12});
  const ValueId early = n.node("Relu", {n.conv(x, 3, 16, 3, 1)});
  ValueId y = n.node("Add", {n.conv(n.node("Relu", {n.conv(early, 16, 16, 3, 1)}), 16, 16, 3, 1), early});
  y = n.node("Concat", {n.conv(y, 16, 8, 1, 1), early}, {{"axis", int64_t(1)}});
  const ValueId extents = n.node("Shape", {early});
  y = n.node("Reshape", {n.conv(y, 24, 16, 1, 1), extents});
  Graph graph = n.finish(n.conv(y, 16, 4, 3, 1));
  graph.outputs.push_back(early);
  return graph;
}

TEST(OutputError, FromTheFrontOfALayerOnAsFromTheInput) {
  for (const bool branching : {false, true}) {
    const Dims dims = branching ? Dims{1, 3, 12, 12} : Dims{1, 3, 17, 19};
    const Graph graph = branching ? branching_network() : testing::residual_network();
    const Graph donor = quantized(graph, dims);
    std::vector<SharedLayer> layers = shared_layers(graph, donor);
    ASSERT_GE(layers.size(), 4u);
    OutputError error(graph, {{testing::random_array(dims, 5, 1)}, {testing::random_array(dims, 6, 1)}}, 1);
    for (const bool backwards : {false, true}) {
      if (backwards) std::reverse(layers.begin(), layers.end());
      for (const SharedLayer& layer : layers)
        for (const Graft what : {Graft::whole, Graft::constants, Graft::activations}) {
          Graph host = graph;
          graft_layer(host, layer.first, donor, layer.second, what);
          infer_shapes(host);
          const double whole = error.sqnr_db(host), part = error.sqnr_db(donor, layer, what);
          if (std::isinf(whole)) EXPECT_TRUE(std::isinf(part)) << layer.value;
          else EXPECT_NEAR(part, whole, 0.05) << layer.value;
        }
    }
  }
}

// Of a model that scores tokens: the mean over positions of Σ p·ln(p/q), which a shift of all scores does not change.
TEST(OutputError, DivergenceOfTheNextTokensDistribution) {
  const Graph graph = testing::small_decoder(testing::small_shape());
  EXPECT_EQ(difference_for(graph), Difference::divergence);
  EXPECT_EQ(difference_for(branching_network()), Difference::noise);
  const std::vector<Array> ids{testing::token_ids({1, 5, 9, 14, 3})};
  const OutputError error(graph, {ids}, 1, Difference::divergence);
  EXPECT_TRUE(std::isinf(error.sqnr_db(graph)));
  Graph other = graph;
  for (Value& value : other.values)
    if (value.constant && value.name.ends_with("weight") && value.constant->dims.size() == 2) {
      Array louder = value.constant->array();
      for (float& w : louder.mutable_values<float>()) w *= 1.05f;
      value.constant = std::make_shared<const Tensor>(louder);
    }
  const Array exact = run_reference(graph, ids)[0], changed = run_reference(other, ids)[0];
  const int64_t length = exact.dims().back(), rows = exact.count() / length;
  double mean = 0;
  for (int64_t r = 0; r < rows; ++r) {
    double p_sum = 0, q_sum = 0;
    const float *y = exact.values<float>().data() + r * length, *x = changed.values<float>().data() + r * length;
    for (int64_t k = 0; k < length; ++k) {
      p_sum += std::exp(double(y[k]));
      q_sum += std::exp(double(x[k]));
    }
    for (int64_t k = 0; k < length; ++k) mean += std::exp(double(y[k])) / p_sum * (y[k] - std::log(p_sum) - x[k] + std::log(q_sum)) / double(rows);
  }
  EXPECT_GT(mean, 1e-5);
  EXPECT_NEAR(noise_over_signal(error.sqnr_db(other)), mean, 1e-3 * mean);
}

}  // namespace
}  // namespace pare
