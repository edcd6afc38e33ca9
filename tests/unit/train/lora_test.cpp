// tune-lora and merge-lora on small decoders and a convolution network.
#include <gtest/gtest.h>

#include <cmath>

#include "../../support/decoders.h"
#include "engine/engine.h"
#include "graph/adapters.h"
#include "passes/pass.h"

namespace pare {
namespace {

// Texts that count: each token follows the one before it by 3.
TrainingSource counting_texts() {
  TrainingSource source;
  source.count = 24;
  source.tokens = true;
  source.batch = [](std::span<const int64_t> samples) {
    std::vector<int64_t> ids;
    for (int64_t t = 0; t < 12; ++t) ids.push_back((samples[0] * 5 + 3 * t) % 50);
    TrainingBatch batch{{testing::token_ids(ids)}, {ids.begin() + 1, ids.end()}};
    batch.labels.push_back(-1);
    return batch;
  };
  return source;
}

double surprise(const Graph& graph) {
  const TrainingSource source = counting_texts();
  double sum = 0;
  int count = 0;
  for (int64_t i = 0; i < 6; ++i) {
    const TrainingBatch batch = source.batch(std::span(&i, 1));
    const std::vector<float> scores = run_reference(graph, batch.inputs)[0].to_floats();
    for (size_t t = 0; t < batch.labels.size(); ++t) {
      if (batch.labels[t] < 0) continue;
      double all = 0;
      for (size_t v = 0; v < 50; ++v) all += std::exp(double(scores[t * 50 + v]));
      sum += std::log(all) - scores[t * 50 + size_t(batch.labels[t])];
      ++count;
    }
  }
  return sum / count;
}

PipelineInputs inputs_of(TrainingSource source) {
  PipelineInputs inputs;
  inputs.training = std::move(source);
  return inputs;
}

constexpr const char* kTune = "tune-lora{rank=4, epochs=4, batch=4, rate=0.02, held-out=0}";

std::string notes_of(const PipelineResult& result) {
  std::string text;
  for (const PassRecord& record : result.passes)
    for (const std::string& note : record.notes) text += note + "\n";
  return text;
}

class Bases : public ::testing::TestWithParam<const Codec*> {};

TEST_P(Bases, LearnThroughAdaptersAndStayAsTheyAre) {
  const Graph base = testing::small_decoder(testing::small_shape(), GetParam());
  Graph tuned = base;
  const PipelineResult result = run_recipe(tuned, kTune, inputs_of(counting_texts()));
  EXPECT_LT(surprise(tuned), surprise(base) - 1);
  EXPECT_NE(notes_of(result).find("perplexity"), std::string::npos) << notes_of(result);
  EXPECT_EQ(find_adapters(tuned).size(), 14u);
  for (const Value& value : base.values) {
    if (!value.constant) continue;
    const ValueId id = tuned.find(value.name);
    ASSERT_NE(id, kNone) << value.name;
    EXPECT_EQ(tuned.at(id).constant, value.constant) << value.name;  // the very same bytes
  }
  // Merged the model computes the same, exactly where weights may become floats.
  Graph merged = tuned;
  run_recipe(merged, "merge-lora{encoded=float}", {});
  EXPECT_FALSE(has_adapters(merged));
  EXPECT_EQ(merged.nodes.size(), base.nodes.size());
  const std::vector<Array> text{testing::token_ids({5, 8, 11, 14})};
  EXPECT_LT(testing::relative_error(run_reference(merged, text)[0], run_reference(tuned, text)[0]), 1e-4);
  // And the engine that runs models does as the reference.
  EXPECT_LT(testing::relative_error(Session(tuned, {{1, 4}}, {}).run(text)[0], run_reference(tuned, text)[0]), 0.05);
}
INSTANTIATE_TEST_SUITE_P(Codecs, Bases, ::testing::Values(nullptr, &codec_q4_0, &codec_float16),
                         [](const auto& which) { return which.param == nullptr ? "float" : which.param->name; });

TEST(MergeLora, KeepsTheCodecAndSaysWhatRoundingCosts) {
  Graph graph = testing::small_decoder(testing::small_shape(), &codec_q8_0);
  const PipelineResult result = run_recipe(graph, std::string(kTune) + ", merge-lora", inputs_of(counting_texts()));
  EXPECT_NE(notes_of(result).find("14 weights were encoded again"), std::string::npos) << notes_of(result);
  EXPECT_EQ(graph.constant(graph.find("model.layers.1.mlp.up_proj.weight"))->codec, &codec_q8_0);
  EXPECT_THROW(run_recipe(graph, "merge-lora", {}), Error);
}

TEST(TuneLora, AdaptsWhatItsTargetsName) {
  Graph graph = testing::small_decoder(testing::small_shape());
  run_recipe(graph, "tune-lora{rank=2, alpha=3, targets=q_proj|layer1_up, epochs=1, batch=24, held-out=0}",
             inputs_of(counting_texts()));
  std::vector<std::string> names;
  for (const Adapter& adapter : find_adapters(graph)) {
    names.push_back(adapter.values.layer);
    EXPECT_EQ(adapter.values.rank(), 2);
    EXPECT_EQ(adapter.values.scale, 1.5);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj",
                                             "model.layers.1.mlp.up_proj"}));
  Graph none = testing::small_decoder(testing::small_shape());
  EXPECT_THROW(run_recipe(none, "tune-lora{targets=nobody}", inputs_of(counting_texts())), Error);
}

// Labels of −1 are not asked for: a text none of whose tokens is asked for teaches nothing.
TEST(TuneLora, LearnsNothingFromWhatIsGiven) {
  TrainingSource source = counting_texts();
  source.batch = [all = source.batch](std::span<const int64_t> samples) {
    TrainingBatch batch = all(samples);
    std::fill(batch.labels.begin(), batch.labels.end(), -1);
    return batch;
  };
  Graph graph = testing::small_decoder(testing::small_shape());
  run_recipe(graph, kTune, inputs_of(source));
  for (const Adapter& adapter : find_adapters(graph))
    for (const float b : adapter.values.b.to_floats()) ASSERT_EQ(b, 0);
}

TEST(TuneLora, NeedsFloatsForLoftq) {
  Graph graph = testing::small_decoder(testing::small_shape(), &codec_q4_0);
  EXPECT_THROW(run_recipe(graph, "tune-lora{init=loftq}", inputs_of(counting_texts())), Error);
}

// Pictures whose class is the brighter half.
TEST(TuneLora, AdaptsConvolutions) {
  Graph base = testing::residual_network(1);
  testing::open_batch(base);
  TrainingSource source;
  source.count = 48;
  source.batch = [](std::span<const int64_t> samples) {
    TrainingBatch batch;
    Array all(Type::f32, {int64_t(samples.size()), 3, 17, 19});
    auto out = all.mutable_values<float>();
    for (const int64_t sample : samples) {
      const Array picture = testing::random_array({1, 3, 17, 19}, uint64_t(sample));
      for (size_t i = 0; i < size_t(picture.count()); ++i)
        *(&out[batch.labels.size() * size_t(picture.count())] + i) =
            picture.values<float>()[i] + (sample % 2 == 0 ? 0.5f : -0.5f);
      batch.labels.push_back(sample % 2);
    }
    batch.inputs = {all};
    return batch;
  };
  PipelineInputs inputs = inputs_of(source);
  inputs.calibration = {4, [](int64_t i) {
                          return std::vector<Array>{testing::random_array({1, 3, 17, 19}, uint64_t(i))};
                        }};
  Graph tuned = base;
  const std::string recipe =
      "quantize-dynamic{activations=none}, tune-lora{rank=2, init=loftq, alternations=2, epochs=8, batch=16, "
      "rate=0.01, held-out=0}";
  const PipelineResult result = run_recipe(tuned, recipe, inputs);
  const auto right = [&](const Graph& graph) {
    int count = 0;
    for (int64_t i = 0; i < 48; ++i) {
      const TrainingBatch one = source.batch(std::span(&i, 1));
      const std::vector<float> scores = run_reference(graph, one.inputs)[0].to_floats();
      count += std::max_element(scores.begin(), scores.end()) - scores.begin() == one.labels[0];
    }
    return count;
  };
  EXPECT_GT(right(tuned), right(base) + 10);
  EXPECT_NE(notes_of(result).find("of what quantization took"), std::string::npos) << notes_of(result);
  Graph merged = tuned;
  run_recipe(merged, "merge-lora{encoded=float}", {});
  const std::vector<Array> x{testing::random_array({1, 3, 17, 19}, 77)};
  EXPECT_LT(testing::relative_error(run_reference(merged, x)[0], run_reference(tuned, x)[0]), 1e-4);
}

// Mean squared distance of scores from the base's, which is what a teacher is there for; labels say something else.
double distance(const Graph& base, const Graph& graph) {
  const TrainingSource source = counting_texts();
  double sum = 0;
  for (int64_t i = 0; i < 6; ++i) {
    const std::vector<Array> inputs = source.batch(std::span(&i, 1)).inputs;
    const std::vector<float> wanted = run_reference(base, inputs)[0].to_floats(), found = run_reference(graph, inputs)[0].to_floats();
    for (size_t k = 0; k < wanted.size(); ++k) sum += (double(wanted[k]) - found[k]) * (double(wanted[k]) - found[k]);
  }
  return sum;
}

TEST(Distil, ADecoderLearnsFromItsTeacherTokenByToken) {
  const Graph base = testing::small_decoder(testing::small_shape());
  const std::string prune = "prune-weights{sparsity=0.4}";
  const auto after = [&](const std::string& training) {
    Graph graph = base;
    run_recipe(graph, prune + training, inputs_of(counting_texts()));
    return distance(base, graph);
  };
  const double pruned = after("");
  EXPECT_LT(after(", distil{epochs=2, batch=4, rate=0.005, weight=1, held-out=0}"), 0.7 * pruned);
  EXPECT_GT(after(", distil{epochs=2, batch=4, rate=0.005, weight=0, held-out=0}"), pruned) << "labels alone";
}

}  // namespace
}  // namespace pare
