#include <gtest/gtest.h>

#include "base/random.h"
#include "passes/pass.h"
#include "support/networks.h"

namespace pare {
namespace {

// (x·w − 3·x)² has its least where w is 3 times the unit matrix, which only training by the model's own output finds.
TEST(Losses, AModelMayComputeItsOwn) {
  testing::Network n(3);
  const ValueId x = n.input("x", {1, 4}), w = n.constant({4, 4}, 0.1f), three = n.graph.add_constant("three", Array::scalar(3.f));
  const ValueId unlike = n.node("Sub", {n.node("MatMul", {x, w}), n.node("Mul", {x, three})});
  Graph graph = n.finish(n.node("Mul", {unlike, unlike}));
  testing::open_batch(graph);
  TrainingSource source;
  source.count = 64;
  source.batch = [](std::span<const int64_t> samples) {
    TrainingBatch batch;
    Array all(Type::f32, {int64_t(samples.size()), 4});
    Random random(uint64_t(samples[0]) + 7);
    for (float& v : all.mutable_values<float>()) v = float(random.normal());
    batch.inputs = {all};
    batch.labels.assign(samples.size(), -1);
    return batch;
  };
  PipelineInputs inputs;
  inputs.training = source;
  const PipelineResult result = run_recipe(graph, "finetune{loss=output, epochs=100, batch=8, rate=0.05, held-out=0.2}", inputs);
  const std::vector<float> learned = graph.constant(graph.find(n.graph.at(w).name))->decode().to_floats();
  for (size_t i = 0; i < 16; ++i) EXPECT_NEAR(learned[i], i % 5 == 0 ? 3 : 0, 0.1) << i;
  EXPECT_NE(result.passes[0].notes[0].find("loss"), std::string::npos) << result.passes[0].notes[0];
}

}  // namespace
}  // namespace pare
