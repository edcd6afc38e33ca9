#include <gtest/gtest.h>

#include "learned_from_itself.h"

namespace pare {
namespace {

using testing::LearnedFromItself;
using testing::softmax;

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
