#include <gtest/gtest.h>

#include "codecs/codecs.h"
#include "passes/pass.h"
#include "support/networks.h"

namespace pare {
namespace {

// A linear layer of 64x64 weights, every `period`th of which is not zero.
Graph linear(int64_t period, bool int8) {
  testing::Network n;
  Array weight = testing::random_array({64, 64}, 5);
  auto values = weight.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i)
    if (int64_t(i) % period != 0) values[i] = 0;
  Tensor tensor = int8 ? codec_int8.encode(weight, 1, 0) : Tensor(weight);
  return n.finish(n.node("MatMul", {n.input("x", {1, 64}), n.graph.add_constant("w", std::move(tensor))}));
}

const Tensor& weight_of(const Graph& graph) { return *graph.constant(graph.find("w")); }

TEST(StoreSparse, OnlyWhereItSavesBytes) {
  struct Case {
    int64_t period;
    bool int8;
    const Codec* stored;
  };
  // In a file a stored value takes 8 bytes more: float32 saves a tenth below 3 of 10 values, int8 below 1 of 10.
  for (const Case& one : {Case{3, false, nullptr}, Case{4, false, &codec_sparse}, Case{9, true, &codec_int8}, Case{11, true, &codec_sparse_int8}}) {
    Graph graph = linear(one.period, one.int8);
    const Array before = weight_of(graph).decode();
    const PipelineResult result = run_recipe(graph, "store-sparse", {});
    EXPECT_EQ(weight_of(graph).codec, one.stored) << one.period;
    EXPECT_TRUE(weight_of(graph).decode().same_as(before));
    EXPECT_EQ(result.passes[0].changed, one.stored == &codec_sparse || one.stored == &codec_sparse_int8);
  }
}

TEST(StoreSparse, OtherPassesSeeZeros) {
  Graph graph = linear(16, false);
  run_recipe(graph, "store-sparse", {});
  ASSERT_EQ(weight_of(graph).codec, &codec_sparse);
  run_recipe(graph, "cast-weights{type=bf16}", {});
  EXPECT_EQ(weight_of(graph).codec, &codec_bfloat16);
  EXPECT_EQ(count_weights(graph).nonzero, 256);
}

TEST(StoreSparse, ExcludedLayersStayDense) {
  Graph graph = linear(16, false);
  run_recipe(graph, "store-sparse{exclude=MatMul}", {});
  EXPECT_TRUE(weight_of(graph).plain());
}

}  // namespace
}  // namespace pare
