#include <gtest/gtest.h>

#include "codecs/codecs.h"
#include "engine/engine.h"
#include "passes/pass.h"
#include "passes/weights.h"
#include "support/networks.h"
#include "train/torch/blocks.h"
#include "train/train.h"

namespace pare {
namespace {

struct Pictures {
  Graph network;
  std::vector<Array> seen, other;
  PipelineInputs inputs;
  explicit Pictures(bool batch_norm = false) : network(testing::residual_network(1, batch_norm)) {
    testing::open_batch(network);
    for (uint64_t i = 0; i < 64; ++i)
      (i % 4 == 0 ? other : seen).push_back(testing::random_array({1, 3, 17, 19}, 500 + i));
    inputs.calibration = {int64_t(seen.size()), [this](int64_t i) { return std::vector<Array>{seen[size_t(i)]}; }};
  }
  // Of what the graph computes on pictures that were not learned from, against the floats.
  double sqnr_db(const Graph& graph) const {
    double sum = 0;
    for (const Array& picture : other)
      sum += testing::sqnr_db(run_reference(graph, {picture})[0], run_reference(network, {picture})[0]);
    return sum / double(other.size());
  }
  Graph nearest(int bits) const {
    Graph graph = network;
    run_recipe(graph, "quantize-weights{group=0, bits=" + std::to_string(bits) + "}", {});
    return graph;
  }
};

TEST(LearnRounding, ComputesMoreOfWhatFloatsDidThanNearestRounding) {
  const Pictures data;
  Graph learned = data.network;
  run_recipe(learned, "learn-rounding{steps=80, bias-rate=0, batch=16, bits=3}", data.inputs);
  const Graph nearest = data.nearest(3);
  EXPECT_GT(data.sqnr_db(learned), data.sqnr_db(nearest) + 1);
  int moved = 0, weights = 0;
  for (const WeightUse& use : weight_uses(data.network)) {
    const Tensor &a = *learned.constant(learned.find(data.network.at(use.value).name)),
                 &b = *nearest.constant(nearest.find(data.network.at(use.value).name));
    ASSERT_EQ(a.codec, &codec_int4);
    EXPECT_TRUE(a.parts[1].same_as(b.parts[1]));
    const auto q = a.parts[0].to_integers(), r = b.parts[0].to_integers();
    for (size_t i = 0; i < q.size(); ++i) {
      ++weights;
      moved += q[i] != r[i];
      EXPECT_LE(std::abs(q[i] - r[i]), 1);
      EXPECT_GE(q[i], -4);
      EXPECT_LE(q[i], 3);
    }
  }
  EXPECT_GT(moved, weights / 100);
  EXPECT_LT(moved, weights / 2);
}

TEST(LearnRounding, LearnsStepsOfActivationsAndLeavesIntegersThatCompute) {
  const Pictures data;
  Graph before = data.network, learned = data.network;
  run_recipe(before, "quantize-static{overflow=allow}", data.inputs);
  const PipelineResult result = run_recipe(learned, "quantize-static{overflow=allow}, learn-rounding{steps=40}", data.inputs);
  int steps = 0;
  for (const Node& node : learned.nodes) {
    if (!node.is("QuantizeLinear")) continue;
    const ValueId old = before.find(learned.at(node.inputs[1]).name);
    ASSERT_NE(old, kNone);
    steps += !before.constant(old)->parts[0].same_as(learned.constant(node.inputs[1])->parts[0]);
  }
  EXPECT_GT(steps, 2);
  EXPECT_GT(data.sqnr_db(learned), data.sqnr_db(before));
  EXPECT_NE(result.passes[1].notes.back().find("7 quantized layers"), std::string::npos)
      << result.passes[1].notes.back();
}

// What was encoded are the weights with the normalizations merged, and those are what learning starts from.
TEST(LearnRounding, FindsTheFloatsBehindMergedNormalizations) {
  const Pictures data(true);
  Graph merged = data.network, plain = data.network;
  const std::string recipe = "quantize-weights{group=0}, learn-rounding{steps=20}";
  run_recipe(merged, "fold-batchnorm, " + recipe, data.inputs);
  run_recipe(plain, recipe, data.inputs);
  EXPECT_TRUE(run_reference(merged, {data.other[0]})[0].same_as(run_reference(plain, {data.other[0]})[0]));
}

TEST(LearnRounding, KeepsZerosOfPruning) {
  const Pictures data;
  Graph pruned = data.network, learned = data.network;
  run_recipe(pruned, "prune-weights{sparsity=0.5, spare=none}", data.inputs);
  run_recipe(learned, "prune-weights{sparsity=0.5, spare=none}, learn-rounding{steps=50}", data.inputs);
  int zeros = 0;
  for (const WeightUse& use : weight_uses(pruned)) {
    const auto before = pruned.constant(use.value)->decode().to_floats();
    const auto after = learned.constant(learned.find(pruned.at(use.value).name))->decode().to_floats();
    for (size_t i = 0; i < before.size(); ++i)
      if (before[i] == 0) {
        ++zeros;
        EXPECT_EQ(after[i], 0);
      }
  }
  EXPECT_GT(zeros, 1000);
}

TEST(LearnRounding, StopsAndSaysWhatItNeeds) {
  const Pictures data;
  Graph graph = data.network;
  EXPECT_THROW(run_recipe(graph, "learn-rounding", {}), Error);
  Graph stopped = data.nearest(4);
  int asked = 0;
  RoundingJob job;
  job.floats = &data.network;
  job.count = 8;
  job.sample = data.inputs.calibration.get;
  job.options.steps = 4;
  job.stopped = [&] { return ++asked > 6; };  // in the second block
  const TrainingReport report = training_library().learn_rounding(stopped, job);
  EXPECT_FALSE(report.finished);
  EXPECT_EQ(report.changed, 1);
  EXPECT_NE(report.notes.back().find("stopped in block 2"), std::string::npos) << report.notes.back();
}

// A block ends where one value carries everything: the stem, then each sum with its Relu, the last one with all that
// follows.
TEST(Blocks, AreCutWhereOneValueCarriesEverything) {
  const Graph network = testing::residual_network();
  std::vector<char> learned(network.values.size(), 0);
  for (const WeightUse& use : weight_uses(network)) learned[size_t(use.value)] = 1;
  const std::vector<Block> blocks = find_blocks(network, learned, network);
  std::vector<std::string> ends;
  for (const Block& block : blocks) {
    ASSERT_EQ(block.outputs.size(), 1u);
    ends.push_back(network.at(block.outputs[0]).name);
  }
  // Nodes: 0 Conv, 1 Relu | 2 Conv, 3 Relu, 4 Conv, 5 Add, 6 Relu | 7 Conv, 8 Relu, 9 Conv, 10 Conv, 11 Add, 12 Relu,
  // 13 pool, 14 Flatten | 15 Gemm.
  EXPECT_EQ(ends, (std::vector<std::string>{"v_Relu1", "v_Relu6", "v_Flatten14", "v_Gemm15"}));
  EXPECT_EQ(blocks[1].first, 2u);
  EXPECT_EQ(blocks[1].last, 7u);
}

}  // namespace
}  // namespace pare
