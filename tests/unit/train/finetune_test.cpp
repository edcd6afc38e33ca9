#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "learned_from_itself.h"
#include "support/places.h"

namespace pare {
namespace {

using testing::constants_of;
using testing::LearnedFromItself;

constexpr const char* kTraining = "{epochs=8, batch=16, rate=0.003, held-out=0}";

TEST(Finetune, BringsBackWhatPruningLostAndKeepsItsZeros) {
  const LearnedFromItself data;
  Graph pruned = data.network, trained = data.network;
  run_recipe(pruned, "prune-weights{sparsity=0.8, spare=none}", data.inputs);
  run_recipe(trained, std::string("prune-weights{sparsity=0.8, spare=none}, finetune") + kTraining, data.inputs);
  EXPECT_GT(data.right(trained), data.right(pruned) + 0.1);
  const auto before = constants_of(pruned), after = constants_of(trained);
  ASSERT_EQ(before.size(), after.size());
  int zeros = 0, moved = 0;
  for (size_t k = 0; k < before.size(); ++k)
    for (size_t i = 0; i < before[k].size(); ++i) {
      if (before[k].size() > 30 && before[k][i] == 0) {
        ++zeros;
        EXPECT_EQ(after[k][i], 0);
      }
      moved += before[k][i] != after[k][i];
    }
  EXPECT_GT(zeros, 1000);
  EXPECT_GT(moved, 500);
}

TEST(Finetune, TrainsThroughQuantizersAndStoresIntegers) {
  LearnedFromItself data(48);
  for (int64_t& label : data.labels) label = (label + 1) % 10;  // something to learn
  Graph quantized = data.network, trained = data.network;
  run_recipe(quantized, "quantize-static", data.inputs);
  run_recipe(trained, std::string("quantize-static, finetune") + kTraining, data.inputs);
  EXPECT_GT(data.right(trained), data.right(quantized) + 0.1);
  int encoded = 0, scales = 0;
  for (const Value& value : trained.values) {
    if (!value.constant) continue;
    const ValueId old = quantized.find(value.name);
    ASSERT_NE(old, kNone);
    const Tensor &a = *quantized.at(old).constant, &b = *value.constant;
    EXPECT_EQ(a.codec, b.codec) << value.name;
    ASSERT_EQ(a.parts.size(), b.parts.size());
    encoded += b.codec != nullptr && !a.parts[0].same_as(b.parts[0]);
    scales += value.name.ends_with("_s") && !a.parts[0].same_as(b.parts[0]);
  }
  EXPECT_GT(encoded, 5);
  EXPECT_GT(scales, 3);
  // What was trained is what the integers compute.
  EXPECT_GT(testing::sqnr_db(training_library().forward(trained, {data.pictures[0]})[0], run_reference(trained, {data.pictures[0]})[0]), 30);
}

int64_t zero_weights(const Graph& graph) {
  int64_t zeros = 0;
  for (const Node& node : graph.nodes)
    if (node.is("Conv") || node.is("Gemm"))
      for (float w : graph.constant(node.inputs[1])->decode().to_floats()) zeros += w == 0;
  return zeros;
}

TEST(Finetune, PrunesAsManyLittleByLittleAsAtOnce) {
  const LearnedFromItself data(96, true);
  Graph once = data.network, gradually = data.network;
  run_recipe(once, "prune-weights{sparsity=0.8, spare=none}", data.inputs);
  run_recipe(gradually, std::string("prune-weights{sparsity=0.8, spare=none, schedule=cubic}, finetune") + kTraining, data.inputs);
  EXPECT_EQ(zero_weights(gradually), zero_weights(once));
}

// What a gradual pruning is told of the steps done, and that zeros it has made stay.
TEST(Finetune, GradualPruningIsAskedAlongTheWay) {
  const LearnedFromItself data(48);
  std::vector<double> parts;
  TrainingJob job;
  job.options.epochs = 4;
  job.options.batch = 16;
  job.options.held_out = 0;
  job.data = &data.inputs.training;
  job.pruning.until = 0.5;
  job.pruning.prune = [&](Graph& graph, double part) {
    parts.push_back(part);
    for (Node& node : graph.nodes) {  // the first weights of the first layer, more each time
      if (!node.is("Conv")) continue;
      Array weight = graph.constant(node.inputs[1])->decode();
      auto values = weight.mutable_values<float>();
      std::fill_n(values.begin(), parts.size() * 5, 0.f);
      graph.at(node.inputs[1]).constant = std::make_shared<const Tensor>(weight);
      break;
    }
  };
  Graph graph = data.network;
  training_library().train(graph, job);
  ASSERT_EQ(parts.size(), 6u);  // three steps an epoch, to half of twelve
  for (size_t i = 0; i < parts.size(); ++i) EXPECT_NEAR(parts[i], double(i + 1) / 12, 1e-9);
  const std::vector<float> first = graph.constant(graph.nodes[0].inputs[1])->decode().to_floats();
  EXPECT_EQ(std::count(first.begin(), first.end(), 0.f), 30);
  // Stopped before all is pruned: the rest goes at once.
  int steps = 0;
  parts.clear();
  job.stopped = [&] { return ++steps > 3; };
  Graph stopped = data.network;
  EXPECT_FALSE(training_library().train(stopped, job).finished);
  ASSERT_FALSE(parts.empty());
  EXPECT_EQ(parts.back(), 1);
}

TEST(Finetune, FollowsBatchStatistics) {
  LearnedFromItself data(64, true);
  for (int64_t& label : data.labels) label = (label + 1) % 10;  // something to learn
  Graph trained = data.network, frozen = data.network;
  run_recipe(trained, "finetune{epochs=1, batch=16, held-out=0}", data.inputs);
  run_recipe(frozen, "finetune{epochs=1, batch=16, held-out=0, batchnorm=frozen}", data.inputs);
  int followed = 0, kept = 0;
  for (const Node& node : data.network.nodes) {
    if (!node.is("BatchNormalization")) continue;
    const std::string name = data.network.at(node.inputs[3]).name;
    const auto mean = [&](const Graph& graph) { return graph.constant(graph.find(name))->decode(); };
    followed += !mean(trained).same_as(mean(data.network));
    kept += mean(frozen).same_as(mean(data.network));
  }
  EXPECT_GE(kept, 5);
  EXPECT_GE(followed, 5);
}

// What is kept are the means of the states behind the steps, as the trained values would be without them.
TEST(Finetune, KeepsTheRunningMeanOfItsSteps) {
  LearnedFromItself data(48);
  for (int64_t& label : data.labels) label = (label + 1) % 10;  // something to learn
  TrainingJob job;
  job.options.epochs = 1;  // one step, of all samples
  job.options.batch = 48;
  job.options.held_out = 0;
  job.options.warmup = 0;
  job.options.rate = 1e-4;
  job.data = &data.inputs.training;
  Graph last = data.network, mean = data.network;
  training_library().train(last, job);
  job.options.average = 0.999;  // of the first step a tenth of the state before is left
  training_library().train(mean, job);
  const auto before = constants_of(data.network), after = constants_of(last), averaged = constants_of(mean);
  int moved = 0;
  for (size_t k = 0; k < before.size(); ++k)
    for (size_t i = 0; i < before[k].size(); ++i) {
      EXPECT_NEAR(averaged[k][i], 0.1f * before[k][i] + 0.9f * after[k][i], 1e-6 * (1 + std::abs(before[k][i])));
      moved += std::abs(averaged[k][i] - after[k][i]) > 5e-6;
    }
  EXPECT_GT(moved, 500);
}

TEST(Finetune, TheRunningMeanIsAsSparseAsGradualPruningAsks) {
  const LearnedFromItself data(96, true);
  Graph once = data.network, gradually = data.network;
  run_recipe(once, "prune-weights{sparsity=0.8, spare=none}", data.inputs);
  run_recipe(gradually, "prune-weights{sparsity=0.8, spare=none, schedule=cubic}, finetune{epochs=8, batch=16, rate=0.003, held-out=0, average=0.9}", data.inputs);
  EXPECT_EQ(zero_weights(gradually), zero_weights(once));
}

TEST(Finetune, ContinuesExactlyWhereItWasStopped) {
  const LearnedFromItself data(48);
  const testing::TemporaryFolder folder;
  const std::string file = folder / "checkpoint.1";
  TrainingJob job;
  job.options.epochs = 3;
  job.options.batch = 16;
  job.options.held_out = 0.25;
  job.options.average = 0.8;
  job.data = &data.inputs.training;
  job.pruning.until = 0.2;  // the running mean goes on over the end of an epoch
  job.pruning.prune = [](Graph& graph, double part) {
    const Observations nothing;
    PassRun run{.observed = nothing, .reference = graph};
    find_pass("prune-weights").bind({{"sparsity", fmt::format("{:.3f}", 0.7 * std::min(part / 0.2, 1.0))}})->run(graph, run);
  };
  Graph whole = data.network, stopped = data.network, continued = data.network;
  EXPECT_TRUE(training_library().train(whole, job).finished);
  job.checkpoint = file;
  int steps = 0;
  job.stopped = [&] { return ++steps > 5; };  // three batches an epoch: in the middle of the second
  EXPECT_FALSE(training_library().train(stopped, job).finished);
  job.stopped = [] { return false; };
  const TrainingReport report = training_library().train(continued, job);
  EXPECT_TRUE(report.finished);
  EXPECT_NE(report.notes[0].find("continued after epoch 1"), std::string::npos) << report.notes[0];
  EXPECT_EQ(constants_of(continued), constants_of(whole));
  // Another job's checkpoint is not taken, a damaged one is named.
  job.options.rate = 0.01;
  Graph other = data.network;
  EXPECT_EQ(training_library().train(other, job).notes[0].find("continued"), std::string::npos);
  std::ofstream(file, std::ios::trunc) << "no checkpoint";
  EXPECT_THROW(training_library().train(other, job), Error);
  std::remove(file.c_str());
}

TEST(Finetune, SaysWhatItNeeds) {
  LearnedFromItself data(16);
  Graph graph = data.network;
  EXPECT_THROW(run_recipe(graph, "finetune", {}), Error);
  data.labelled = false;
  try {
    run_recipe(graph, "finetune{epochs=1}", data.inputs);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("no label"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace pare
