#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>

#include "engine/engine.h"
#include "passes/pass.h"
#include "support/networks.h"
#include "support/places.h"
#include "train/train.h"

namespace pare {
namespace {

std::vector<double> softmax(const std::vector<float>& scores, double temperature) {
  std::vector<double> p;
  double sum = 0;
  for (float s : scores) sum += p.emplace_back(std::exp(double(s) / temperature));
  for (double& v : p) v /= sum;
  return p;
}

// Pictures whose labels are what the dense network says: what compression loses, training can bring back.
class LearnedFromItself {
 public:
  explicit LearnedFromItself(int64_t count = 96, bool batch_norm = false) : network(testing::residual_network(1, batch_norm)) {
    testing::open_batch(network);
    std::vector<std::vector<float>> scores;
    std::vector<double> means(10, 0.0);
    for (int64_t i = 0; i < count; ++i) {
      pictures.push_back(testing::random_array({1, 3, 17, 19}, uint64_t(i) + 1000));
      scores.push_back(run_reference(network, {pictures.back()})[0].to_floats());
      for (size_t c = 0; c < 10; ++c) means[c] += scores.back()[c] / double(count);
    }
    // A random network says one class for all pictures, and says it hardly louder than the others: it becomes one whose
    // scores differ by about kSpread from picture to picture, which is what a trained classifier has to teach.
    double variance = 0;
    for (const std::vector<float>& s : scores)
      for (size_t c = 0; c < 10; ++c) variance += (s[c] - means[c]) * (s[c] - means[c]) / double(10 * count);
    const auto gain = float(kSpread / std::sqrt(variance));
    change_constant(network.nodes.back().inputs[1], [&](size_t, float w) { return w * gain; });
    change_constant(network.nodes.back().inputs[2], [&](size_t c, float b) { return (b - float(means[c])) * gain; });
    for (std::vector<float>& s : scores) {
      for (size_t c = 0; c < 10; ++c) s[c] -= float(means[c]);
      labels.push_back(std::max_element(s.begin(), s.end()) - s.begin());
    }
    inputs.calibration = {8, [this](int64_t i) { return std::vector<Array>{pictures[size_t(i)]}; }};
    inputs.training.count = count;
    inputs.training.batch = [this](std::span<const int64_t> samples) {
      TrainingBatch batch;
      Array all(Type::f32, {int64_t(samples.size()), 3, 17, 19});
      auto out = all.mutable_values<float>();
      for (size_t i = 0; i < samples.size(); ++i) {
        const auto picture = pictures[size_t(samples[i])].values<float>();
        std::copy(picture.begin(), picture.end(), out.begin() + int64_t(i * picture.size()));
        batch.labels.push_back(labelled ? labels[size_t(samples[i])] : -1);
      }
      batch.inputs = {all};
      return batch;
    };
  }
  double right(const Graph& graph) const {
    int count = 0;
    for (size_t i = 0; i < pictures.size(); ++i) {
      const std::vector<float> scores = run_reference(graph, {pictures[i]})[0].to_floats();
      count += std::max_element(scores.begin(), scores.end()) - scores.begin() == labels[i];
    }
    return double(count) / double(pictures.size());
  }
  // Mean over the pictures of the Kullback-Leibler divergence of the graph's classes from the dense network's.
  double divergence(const Graph& graph) const {
    double sum = 0;
    for (const Array& picture : pictures) {
      const std::vector<double> p = softmax(run_reference(network, {picture})[0].to_floats(), 1), q = softmax(run_reference(graph, {picture})[0].to_floats(), 1);
      for (size_t c = 0; c < p.size(); ++c) sum += p[c] * std::log(p[c] / q[c]);
    }
    return sum / double(pictures.size());
  }

  Graph network;
  std::vector<Array> pictures;
  std::vector<int64_t> labels;
  bool labelled = true;
  PipelineInputs inputs;

 private:
  static constexpr double kSpread = 3;

  void change_constant(ValueId id, const std::function<float(size_t, float)>& change) {
    Array changed = network.constant(id)->decode();
    auto values = changed.mutable_values<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = change(i, values[i]);
    network.at(id).constant = std::make_shared<const Tensor>(changed);
  }
};

std::vector<std::vector<float>> constants_of(const Graph& graph) {
  std::vector<std::vector<float>> all;
  for (const Value& value : graph.values)
    if (value.constant) all.push_back(value.constant->decode().to_floats());
  return all;
}

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

// Softened answers of a random network are a weak teacher of few pictures: what must come back is likeness, of which agreement is a part.
TEST(Distil, NeedsNoLabels) {
  LearnedFromItself data;
  data.labelled = false;
  Graph pruned = data.network, taught = data.network;
  run_recipe(pruned, "prune-weights{sparsity=0.8, spare=none}", data.inputs);
  run_recipe(taught, "prune-weights{sparsity=0.8, spare=none}, distil{epochs=16, batch=16, rate=0.005, held-out=0, hints=0.1}", data.inputs);
  EXPECT_GT(data.right(taught), data.right(pruned) + 0.05);
  EXPECT_LT(data.divergence(taught), 0.5 * data.divergence(pruned));
}

// A student that is its teacher has no loss, on mirrored pictures either: what is remembered of a picture is not taken for its mirror image.
TEST(Distil, RemembersWhatTheTeacherSaid) {
  LearnedFromItself data(40);
  double largest = 0;
  data.inputs.progress = [&](const std::string& text, double, double) {
    if (const size_t at = text.find("loss "); at != std::string::npos) largest = std::max(largest, std::stod(text.substr(at + 5)));
  };
  Graph graph = data.network;
  run_recipe(graph, "distil{epochs=4, batch=8, rate=1e-07, temperature=1, weight=1, augment=flip, held-out=0}", data.inputs);
  EXPECT_LT(largest, 2e-3);
}

TEST(Losses, ValuesOfATeacherNeedNoClasses) {
  LearnedFromItself data(64);
  data.labelled = false;
  Graph pruned = data.network, taught = data.network;
  run_recipe(pruned, "prune-weights{sparsity=0.7, spare=none}", data.inputs);
  run_recipe(taught, "prune-weights{sparsity=0.7, spare=none}, distil{loss=values, epochs=12, batch=16, rate=0.003, held-out=0}", data.inputs);
  const auto likeness = [&](const Graph& graph) { return testing::sqnr_db(run_reference(graph, {data.pictures[3]})[0], run_reference(data.network, {data.pictures[3]})[0]); };
  EXPECT_GT(likeness(taught), likeness(pruned) + 3);
  EXPECT_THROW(run_recipe(taught, "finetune{loss=values}", data.inputs), Error);
}

// Of the last layer's bias both losses have their gradients in closed form: the mean over the samples of
// softmax(s) − one-hot for labels, and of T (softmax(s / T) − softmax(t / T)) for a teacher's scores t.
void expect_bias_gradient(const LearnedFromItself& data, const Graph& student, const TrainingJob& job, const std::function<std::vector<double>(size_t)>& of_sample) {
  const auto gradients = training_library().gradients(student, job, int64_t(data.pictures.size()));
  const std::string name = student.at(student.nodes.back().inputs[2]).name;
  ASSERT_TRUE(gradients.count(name));
  std::vector<double> expected(10, 0.0);
  for (size_t i = 0; i < data.pictures.size(); ++i) {
    const std::vector<double> part = of_sample(i);
    for (size_t c = 0; c < 10; ++c) expected[c] += part[c] / double(data.pictures.size());
  }
  const std::vector<float> found = gradients.at(name).mean.to_floats();
  double largest = 0;
  for (size_t c = 0; c < 10; ++c) {
    EXPECT_NEAR(found[c], expected[c], 1e-4) << c;
    largest = std::max(largest, std::abs(expected[c]));
  }
  EXPECT_GT(largest, 0.01);  // there is something to compare
}

TEST(Gradients, AreThoseOfTheLoss) {
  LearnedFromItself data(16);
  for (int64_t& label : data.labels) label = (label + 1) % 10;
  TrainingJob job;
  job.data = &data.inputs.training;
  job.options.batch = 16;
  expect_bias_gradient(data, data.network, job, [&](size_t i) {
    std::vector<double> p = softmax(run_reference(data.network, {data.pictures[i]})[0].to_floats(), 1);
    p[size_t(data.labels[i])] -= 1;
    return p;
  });
}

// The network with one layer 64 times as loud and the next one as much deafer: it computes the same.
Graph rescaled(Graph graph) {
  std::vector<const Node*> convolutions;
  for (const Node& node : graph.nodes)
    if (node.is("Conv")) convolutions.push_back(&node);
  const auto scale = [&](ValueId id, float factor) {
    Array values = graph.constant(id)->decode();
    for (float& v : values.mutable_values<float>()) v *= factor;
    graph.at(id).constant = std::make_shared<const Tensor>(values);
  };
  scale(convolutions[1]->inputs[1], 64);
  scale(convolutions[1]->inputs[2], 64);
  scale(convolutions[2]->inputs[1], 1 / 64.f);
  return graph;
}

TEST(Gradients, ScoresOfTheLossDoNotCareHowLayersAreScaled) {
  const LearnedFromItself data(32);
  const auto after = [&](Graph graph, const std::string& recipe) {
    run_recipe(graph, recipe, data.inputs);
    return graph;
  };
  const auto zeros = [](const Graph& graph) {
    std::vector<bool> is_zero;
    for (const Node& node : graph.nodes)
      if (node.is("Conv") || node.is("Gemm"))
        for (float w : graph.constant(node.inputs[1])->decode().to_floats()) is_zero.push_back(w == 0);
    return is_zero;
  };
  const auto pruned = [&](const Graph& graph, const char* score) { return zeros(after(graph, std::string("prune-weights{sparsity=0.5, scope=global, spare=none, score=") + score + "}")); };
  const std::vector<bool> plain = pruned(data.network, "first-order"), scaled = pruned(rescaled(data.network), "first-order");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), true), std::llround(0.5 * double(plain.size())));
  EXPECT_EQ(plain, scaled);
  EXPECT_NE(pruned(data.network, "magnitude"), pruned(rescaled(data.network), "magnitude"));
  const auto outputs = [&](const Graph& graph, const char* score) {
    return run_reference(after(graph, std::string("prune-channels{macs=0.6, repair=no, score=") + score + "}"), {data.pictures[0]})[0];
  };
  EXPECT_GT(testing::sqnr_db(outputs(rescaled(data.network), "taylor"), outputs(data.network, "taylor")), 80);
  EXPECT_LT(testing::sqnr_db(outputs(data.network, "l2"), outputs(data.network, "taylor")), 80);  // it matters who judges
}

TEST(Gradients, AreThoseOfATeacher) {
  LearnedFromItself data(16);
  data.labelled = false;
  Graph student = data.network;
  run_recipe(student, "prune-weights{sparsity=0.8, spare=none}", data.inputs);
  TrainingJob job;
  job.data = &data.inputs.training;
  job.options.batch = 16;
  job.teaching = {&data.network, 3, 0.9, 0};
  expect_bias_gradient(data, student, job, [&](size_t i) {
    std::vector<double> p = softmax(run_reference(student, {data.pictures[i]})[0].to_floats(), 3);
    const std::vector<double> taught = softmax(run_reference(data.network, {data.pictures[i]})[0].to_floats(), 3);
    for (size_t c = 0; c < 10; ++c) p[c] = 3 * (p[c] - taught[c]);
    return p;
  });
}

}  // namespace
}  // namespace pare
