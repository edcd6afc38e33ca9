#include "measure/measure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "codecs/codecs.h"
#include "support/decoders.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::Network;
using testing::random_array;

// conv → relu → pool → linear, 10 scores; the batch axis is open where `batch` is -1.
Graph small_classifier(int64_t batch) {
  Network network;
  const ValueId x = network.input("image", {1, 3, 8, 8});
  (*network.graph.at(x).shape)[0] = batch < 0 ? Dim{-1, "N"} : Dim{batch, ""};
  const ValueId pooled = network.node("GlobalAveragePool", {network.node("Relu", {network.conv(x, 3, 16, 3, 1)})});
  const ValueId flat = network.node("Flatten", {pooled});
  return network.finish(network.node("Gemm", {flat, network.constant({16, 10})}));
}

class RandomSamples : public Samples {
 public:
  RandomSamples(int64_t count, Dims dims, int64_t damaged = -1)
      : count_(count), dims_(std::move(dims)), damaged_(damaged) {}
  int64_t size() const override { return count_; }
  Sample get(int64_t index) const override {
    if (index == damaged_) throw Error("sample " + std::to_string(index), "is damaged");
    // Every other batch of 32 comes late, so that threads finish out of order.
    if (index % 64 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return {{random_array(dims_, uint64_t(index) + 1)}, index % 10};
  }

 private:
  int64_t count_;
  Dims dims_;
  int64_t damaged_;
};

DataSet data_of(std::shared_ptr<const Samples> samples, const std::string& task = "classify") {
  DataSet data;
  data.path = "test.toml";
  data.task = task;
  data.test = std::move(samples);
  return data;
}

MeasureOptions options_for(const DataSet& data, int threads) {
  MeasureOptions options;
  options.data = &data;
  options.threads = threads;
  options.program = "";
  return options;
}

// What the reference engine gets right, one sample at a time.
std::vector<char> judged_by_reference(const Graph& graph, const Samples& samples) {
  std::vector<char> correct;
  for (int64_t i = 0; i < samples.size(); ++i) {
    const Sample sample = samples.get(i);
    const std::vector<float> scores = run_reference(graph, sample.inputs)[0].to_floats();
    correct.push_back(std::max_element(scores.begin(), scores.end()) - scores.begin() == sample.label);
  }
  return correct;
}

TEST(MeasureQuality, SameAsTheReferenceForAnyBatchAndThreads) {
  const DataSet data = data_of(std::make_shared<RandomSamples>(71, Dims{1, 3, 8, 8}));
  const std::vector<char> expected = judged_by_reference(small_classifier(-1), *data.test);
  for (int threads : {1, 2}) {
    for (int64_t batch : {-1, 1}) {
      const Graph graph = small_classifier(batch);
      const Quality quality = measure_quality(graph, graph, options_for(data, threads));
      EXPECT_EQ(quality.correct, expected) << threads << " threads, batch " << quality.batch;
      EXPECT_EQ(quality.batch, batch == 1 ? 1 : 32);
    }
  }
}

TEST(MeasureQuality, RefusesSamplesOfAnotherShape) {
  const DataSet data = data_of(std::make_shared<RandomSamples>(4, Dims{1, 1, 8, 8}));
  const Graph graph = small_classifier(-1);
  try {
    measure_quality(graph, graph, options_for(data, 2));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1x1x8x8"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("Nx3x8x8"), std::string::npos) << error.what();
  }
}

TEST(MeasureQuality, AnErrorInAnyThreadIsTold) {
  const Graph graph = small_classifier(1);
  for (int64_t damaged : {1, 17, 39}) {
    const DataSet data = data_of(std::make_shared<RandomSamples>(40, Dims{1, 3, 8, 8}, damaged));
    EXPECT_THROW(measure_quality(graph, graph, options_for(data, 2)), Error);
  }
}

TEST(MeasureQuality, CompareWithItselfAgrees) {
  const DataSet data = data_of(std::make_shared<RandomSamples>(9, Dims{1, 3, 8, 8}), "compare");
  const Graph graph = small_classifier(-1);
  const Quality quality = measure_quality(graph, graph, options_for(data, 2));
  EXPECT_EQ(quality.metric.value, 1);
  EXPECT_EQ(quality.metric.count, 9);
}

TEST(MeasureLatency, AModelBesideItselfHasRatioOne) {
  const Graph graph = small_classifier(1);
  MeasureOptions options;
  options.threads = 1;
  options.seconds = 0.3;
  const std::vector<Array> inputs = latency_inputs(graph, options);
  SessionOptions session;
  session.threads = 1;  // two would wait for each other on a busy machine
  Session first(graph, {{1, 3, 8, 8}}, session), second(graph, {{1, 3, 8, 8}}, session);
  const std::vector<TimedModel> models = {{&first, &inputs}, {&second, &inputs}};
  const std::vector<Latency> latencies = measure_latency(models, options);
  ASSERT_EQ(latencies.size(), 2u);
  EXPECT_GE(latencies[0].runs, 20);
  EXPECT_EQ(latencies[0].ratio, 1);
  EXPECT_LE(latencies[1].ratio_low, latencies[1].ratio);
  EXPECT_GE(latencies[1].ratio_high, latencies[1].ratio);
  // Wide, for a busy test machine: a mistake in the arithmetic is off by far more.
  EXPECT_NEAR(latencies[1].ratio, 1, 0.5);
}

TEST(MeasureLatency, ShapesAreCheckedAgainstTheModel) {
  const Graph graph = small_classifier(-1);
  MeasureOptions options;
  options.batch = 5;
  EXPECT_EQ(latency_inputs(graph, options)[0].dims(), (Dims{5, 3, 8, 8}));
  options.shapes = {{"", {2, 3, 8, 8}}};
  EXPECT_EQ(latency_inputs(graph, options)[0].dims(), (Dims{2, 3, 8, 8}));
  options.shapes = {{"", {2, 4, 8, 8}}};
  EXPECT_THROW(latency_inputs(graph, options), UsageError);
  options.shapes = {{"picture", {2, 3, 8, 8}}};
  EXPECT_THROW(latency_inputs(graph, options), UsageError);
  EXPECT_THROW(latency_inputs(small_classifier(1), MeasureOptions{.batch = 4}), Error);
}

// The first conv's weights are replaced by coarse ones; its row must show the loss and blame the weights.
TEST(MeasureThroughput, OfDecodersOnly) {
  MeasureOptions options;
  options.threads = 1;
  options.seconds = 0.01;
  EXPECT_FALSE(measure_throughput(small_classifier(1), "test", options));
  const Graph graph = testing::small_decoder(testing::small_shape());
  const auto found = measure_throughput(graph, "test", options);
  ASSERT_TRUE(found);
  EXPECT_GT(found->prompt_tokens_per_s, 0);
  EXPECT_GT(found->generate_tokens_per_s, 0);
}

TEST(CompareLayers, BlamesTheLayerThatWasSpoiled) {
  const Graph graph = small_classifier(1);
  Graph spoiled = graph;
  const ValueId weight = spoiled.nodes[0].inputs[1];
  Array values = spoiled.constant(weight)->array();
  for (float& v : values.mutable_values<float>()) v = std::round(v * 4) / 4;
  spoiled.at(weight).constant = std::make_shared<const Tensor>(values);
  const std::vector<LayerRow> rows = compare_layers(spoiled, graph, MeasureOptions{.threads = 1});
  ASSERT_FALSE(rows.empty());
  const auto conv =
      std::find_if(rows.begin(), rows.end(), [](const LayerRow& row) { return row.op.starts_with("Conv"); });
  ASSERT_NE(conv, rows.end());
  EXPECT_LT(conv->sqnr_db, 30);
  EXPECT_GT(conv->sqnr_db, 0);
  EXPECT_NE(conv->note.find("weights are stored at"), std::string::npos) << conv->note;
  EXPECT_GT(conv->baseline_ms, 0);
}

// Only one layer differs, so alone it costs what the whole model loses, and every other layer costs nothing.
TEST(CompareLayers, TellsWhatALayerCostsAlone) {
  const Graph graph = small_classifier(1);
  Graph spoiled = graph;
  const ValueId weight = spoiled.nodes[0].inputs[1];
  Array values = spoiled.constant(weight)->array();
  for (float& v : values.mutable_values<float>()) v = std::round(v * 4) / 4;
  spoiled.at(weight).constant = std::make_shared<const Tensor>(values);
  const std::vector<LayerRow> rows = compare_layers(spoiled, graph, MeasureOptions{.threads = 1});
  int costly = 0;
  for (const LayerRow& row : rows) {
    if (std::isnan(row.output_sqnr_db)) continue;
    ++costly;
    EXPECT_TRUE(row.op.starts_with("Conv")) << row.op;
    EXPECT_GT(row.output_sqnr_db, 0);
    EXPECT_LT(row.output_sqnr_db, 40);
    EXPECT_TRUE(row.mend.starts_with("exclude=")) << row.mend;
  }
  EXPECT_EQ(costly, 1);
}

TEST(Machine, IsDescribed) {
  const auto machine = describe_machine(2, "0.1.0");
  for (const char* key : {"cpu", "cores", "isa", "memory_bytes", "os", "threads", "pare", "date"})
    EXPECT_TRUE(machine.contains(key)) << key;
  EXPECT_EQ(machine["threads"], 2);
  EXPECT_GT(peak_memory_bytes(), 1 << 20);
}

}  // namespace
}  // namespace pare
