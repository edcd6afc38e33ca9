// quantize-weights and quantize-columns: what weights become, which type each takes, and the solver against a naive one.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/engine.h"
#include "passes/pass.h"
#include "passes/solvers/round_columns.h"
#include "passes/weight_types.h"
#include "support/decoders.h"
#include "support/lines.h"

namespace pare {
namespace {

using testing::random_array;

PipelineInputs samples_of(Dims dims, int64_t count = 8) {
  PipelineInputs inputs;
  inputs.calibration = {count, [dims](int64_t i) { return std::vector<Array>{random_array(dims, uint64_t(i) + 100)}; }};
  return inputs;
}
PipelineInputs texts_of(int64_t vocabulary, int64_t length = 24) {
  PipelineInputs inputs;
  inputs.calibration = {6, [=](int64_t i) {
                          Random random(uint64_t(i) + 5);
                          std::vector<int64_t> ids;
                          for (int64_t t = 0; t < length; ++t) ids.push_back(int64_t(random.uniform() * double(vocabulary)) % vocabulary);
                          return std::vector<Array>{testing::token_ids(ids)};
                        }};
  return inputs;
}

const Tensor& weight_of(const Graph& graph, const std::string& op, int which = 0) {
  for (const Node& node : graph.nodes)
    if (node.is(op) && which-- == 0) return *graph.constant(node.inputs[op == "Gather" ? 0 : 1]);
  throw Error("test", "no such node");
}

// A convolution with a padded tail of channels, a MatMul with its inputs first and a Gemm: all three ways weights lie.
Graph three_layers() {
  testing::Network n;
  ValueId x = n.node("Relu", {n.conv(n.input("x", {1, 64, 6, 6}), 64, 64, 3, 1)});
  x = n.node("Flatten", {n.node("GlobalAveragePool", {x})});
  x = n.node("MatMul", {x, n.constant({64, 96}, 0.2f)});
  return n.finish(n.node("Gemm", {n.node("Relu", {x}), n.constant({10, 96}, 0.2f)}, {{"transB", int64_t(1)}}));
}

struct Stored {
  const char* op;
  int axis;
  int64_t group;
  Dims scales;
};

TEST(QuantizeWeights, GroupsLieAlongTheInputsWhereverTheyAre) {
  Graph graph = three_layers();
  const Graph original = graph;
  run_recipe(graph, "quantize-weights{bits=4, group=32, method=nearest}", {});
  for (const Stored& row : {Stored{"Conv", 1, 32, {64, 2, 3, 3}}, Stored{"MatMul", 0, 32, {2, 96}}, Stored{"Gemm", 1, 32, {10, 3}}}) {
    const Tensor &before = weight_of(original, row.op), &after = weight_of(graph, row.op);
    ASSERT_EQ(after.codec, &codec_int4) << row.op;
    EXPECT_EQ(after.axis, row.axis);
    EXPECT_EQ(after.group, row.group);
    EXPECT_EQ(after.parts[1].dims(), row.scales) << row.op;
    check_tensor(after, row.op);
    // No weight is off by more than half a step, but for the end of the range that is cut: one step.
    const std::vector<float> exact = before.decode().to_floats(), rounded = after.decode().to_floats(), steps = after.parts[1].to_floats();
    const float widest = *std::max_element(steps.begin(), steps.end());
    double error = 0, energy = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      EXPECT_LE(std::abs(exact[i] - rounded[i]), widest * 1.001f);
      error += std::pow(exact[i] - rounded[i], 2);
      energy += std::pow(exact[i], 2);
    }
    EXPECT_LT(error / energy, 0.012) << row.op;   // 4 bits in groups of 32: 19 to 21 dB for normally distributed weights
    EXPECT_GT(error / energy, 0.004) << row.op;
  }
}

TEST(QuantizeWeights, GroupsThatDoNotDivideTheInputsGrowUntilTheyDo) {
  for (const auto& [asked, group] : {std::pair<int, int64_t>{40, 48}, {50, 0}, {0, 0}, {16, 16}}) {
    Graph graph = three_layers();
    run_recipe(graph, "quantize-weights{group=" + std::to_string(asked) + "}", {});
    EXPECT_EQ(weight_of(graph, "Gemm").group, group) << asked;
    check_tensor(weight_of(graph, "Gemm"), "Gemm");
  }
}

double weight_error(const std::string& recipe, const PipelineInputs& inputs = {}) {
  Graph graph = three_layers();
  const std::vector<float> exact = weight_of(graph, "Gemm").decode().to_floats();
  run_recipe(graph, recipe, inputs);
  const std::vector<float> rounded = weight_of(graph, "Gemm").decode().to_floats();
  double error = 0;
  for (size_t i = 0; i < exact.size(); ++i) error += std::pow(exact[i] - rounded[i], 2);
  return error;
}

TEST(QuantizeWeights, SearchAndZeroPointsAndBitsLoseLess) {
  const double nearest = weight_error("quantize-weights{method=nearest}"), search = weight_error("quantize-weights{}");
  EXPECT_LT(search, 0.95 * nearest);
  EXPECT_LT(weight_error("quantize-weights{zero-points=yes}"), search);
  EXPECT_LT(weight_error("quantize-weights{bits=8}"), 0.01 * search);
  EXPECT_GT(weight_error("quantize-weights{bits=3}"), 3 * search);
  EXPECT_GT(weight_error("quantize-weights{group=0}"), search);
  EXPECT_GT(weight_error("quantize-weights{method=importance}", samples_of({1, 64, 6, 6})), search);  // it has other aims
  EXPECT_THROW(weight_error("quantize-weights{method=importance}"), Error);
}

// Of the line that fits.
double p_norm(const std::vector<float>& exact, const LevelRange& range, Shift kind, ScaleSearch search) {
  const auto [step, shift] = testing::fit_one_line(range, exact, kind, search);
  double sum = 0;
  for (const float x : exact) sum += std::pow(std::abs(x - (step * float(nearest_level(range, (x + shift) / step)) - shift)), 0.7);
  return sum;
}

TEST(FitLines, HalfQuadraticLowersTheNormItIsMeantTo) {
  const LevelRange range{0, 15};
  for (const Shift shift : {Shift::any, Shift::none}) {
    std::vector<float> values = random_array({64}, 4).to_floats();
    if (shift == Shift::none)
      for (float& v : values) v = std::abs(v);
    values[3] = 9;   // an outlier
    EXPECT_LT(p_norm(values, range, shift, ScaleSearch::half_quadratic), 0.97 * p_norm(values, range, shift, ScaleSearch::plain));
  }
}

TEST(QuantizeWeights, TypesFollowTheRules) {
  DecoderShape shape = testing::small_shape();
  shape.width = 256;
  shape.head_size = 64;
  const Graph original = testing::small_decoder(shape);
  Graph graph = original;
  run_recipe(graph, "quantize-weights{type=q4_k}", {});
  const auto codec_at = [&](const char* name) { return std::string(graph.constant(graph.find(name))->plain() ? "float" : graph.constant(graph.find(name))->codec->name); };
  EXPECT_EQ(codec_at("model.layers.0.self_attn.q_proj.weight"), "q4_k");
  EXPECT_EQ(codec_at("model.layers.0.mlp.down_proj.weight"), "q5_0");   // rows of 96
  EXPECT_EQ(codec_at("model.embed_tokens.weight"), "q6_k");             // the output layer too
  EXPECT_EQ(codec_at("model.norm.weight"), "float");
  Graph f16 = testing::small_decoder([] { DecoderShape s = testing::small_shape(); s.inner = 40; return s; }());
  run_recipe(f16, "quantize-weights{type=q3_k, exclude=layer1_gate}", {});
  EXPECT_EQ(f16.constant(f16.find("model.layers.0.mlp.down_proj.weight"))->codec, &codec_float16);   // rows of 40
  EXPECT_EQ(std::string(f16.constant(f16.find("model.layers.0.mlp.gate_proj.weight"))->codec->name), "iq4_nl");
  EXPECT_TRUE(f16.constant(f16.find("model.layers.1.mlp.gate_proj.weight"))->plain());
  testing::Network embedding;
  const ValueId ids = embedding.graph.add_value("ids", Type::i64, shape_of({1, 3})), table = embedding.constant({50, 64});
  embedding.graph.inputs.push_back(ids);
  Graph looked_up = embedding.finish(embedding.node("Gather", {table, ids})), spared = looked_up;
  run_recipe(looked_up, "quantize-weights{type=q8_0}", {});
  run_recipe(spared, "quantize-weights{type=q8_0, exclude=Gather}", {});
  EXPECT_FALSE(looked_up.constant(table)->plain());
  EXPECT_TRUE(spared.constant(table)->plain());
  Graph convolution = three_layers();
  run_recipe(convolution, "quantize-weights{type=q8_0}", {});
  EXPECT_TRUE(weight_of(convolution, "Conv").plain());
  EXPECT_TRUE(weight_of(convolution, "MatMul").plain());
}

TEST(QuantizeWeights, DecodedIsF32) {
  Graph graph = testing::small_decoder(testing::small_shape(), &codec_q4_1);
  const Graph original = graph;
  run_recipe(graph, "quantize-weights{type=f32}", {});
  for (const char* name : {"model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight"}) {
    ASSERT_TRUE(graph.constant(graph.find(name))->plain());
    EXPECT_TRUE(graph.constant(graph.find(name))->array().same_as(original.constant(original.find(name))->decode()));
  }
}

// ---- the solver

struct Layer {
  int64_t rows, n;
  std::vector<float> weights;
  std::vector<double> h;
};

// Inputs that go together, some much louder than others.
Layer correlated_layer(int64_t rows, int64_t n) {
  const int64_t count = 4 * n;
  const std::vector<float> source = random_array({count, n}, 21).to_floats(), mix = random_array({n, n}, 22, 0.4f).to_floats();
  std::vector<double> x(size_t(count * n));
  for (int64_t s = 0; s < count; ++s)
    for (int64_t i = 0; i < n; ++i) {
      double sum = source[size_t(s * n + i)];
      for (int64_t k = 0; k < n; ++k) sum += source[size_t(s * n + k)] * mix[size_t(k * n + i)];
      x[size_t(s * n + i)] = sum * (i % 5 == 0 ? 4 : 1);
    }
  Layer layer{rows, n, random_array({rows, n}, 23, 0.3f).to_floats(), std::vector<double>(size_t(n * n), 0.0)};
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t s = 0; s < count; ++s) layer.h[size_t(i * n + j)] += x[size_t(s * n + i)] * x[size_t(s * n + j)];
  return layer;
}

std::vector<double> inverse(std::vector<double> a, int64_t n) {
  std::vector<double> b(size_t(n * n), 0.0);
  for (int64_t i = 0; i < n; ++i) b[size_t(i * n + i)] = 1;
  for (int64_t k = 0; k < n; ++k) {
    const double pivot = a[size_t(k * n + k)];
    for (int64_t j = 0; j < n; ++j) {
      a[size_t(k * n + j)] /= pivot;
      b[size_t(k * n + j)] /= pivot;
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double f = a[size_t(i * n + k)];
      for (int64_t j = 0; j < n; ++j) {
        a[size_t(i * n + j)] -= f * a[size_t(k * n + j)];
        b[size_t(i * n + j)] -= f * b[size_t(k * n + j)];
      }
    }
  }
  return b;
}

// One weight rounded, the others of its row moved by −error/[H⁻¹]cc·[H⁻¹]c, the inverse shrunk by that column: as Frantar et
// al. write it before any of their three improvements.
std::vector<float> naive(const Layer& layer, double damping, const std::vector<int64_t>& order, const std::function<float(int64_t, int64_t, float)>& round) {
  const int64_t n = layer.n;
  std::vector<double> h = layer.h;
  double mean = 0;
  for (int64_t i = 0; i < n; ++i) mean += h[size_t(i * n + i)] / double(n);
  for (int64_t i = 0; i < n; ++i) h[size_t(i * n + i)] += damping * mean;
  std::vector<double> w(layer.weights.begin(), layer.weights.end()), left = inverse(h, n);
  for (const int64_t c : order) {
    for (int64_t r = 0; r < layer.rows; ++r) {
      const double before = w[size_t(r * n + c)], after = round(r, c, float(before));
      for (int64_t k = 0; k < n; ++k)
        if (k != c) w[size_t(r * n + k)] -= (before - after) / left[size_t(c * n + c)] * left[size_t(c * n + k)];
      w[size_t(r * n + c)] = after;
    }
    const std::vector<double> was = left;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) left[size_t(i * n + j)] -= was[size_t(i * n + c)] * was[size_t(c * n + j)] / was[size_t(c * n + c)];
  }
  return {w.begin(), w.end()};
}

RoundProblem problem_of(const Layer& layer, bool act_order, int sweeps) {
  RoundProblem problem;
  problem.rows = layer.rows;
  problem.n = layer.n;
  problem.weights = layer.weights;
  problem.products = layer.h;
  problem.act_order = act_order;
  problem.sweeps = sweeps;
  return problem;
}

TEST(RoundColumns, LikeTheNaiveImplementation) {
  const Layer layer = correlated_layer(5, 24);
  GroupGrid grid(4, false, 5, 24, 8, ScaleSearch::plain), scales(4, false, 5, 24, 8, ScaleSearch::plain);
  round_columns(problem_of(layer, true, 0), grid);
  round_rows(scales, layer.weights.data(), {});   // the same scales, which the naive one rounds with
  std::vector<int64_t> order(24);
  std::iota(order.begin(), order.end(), int64_t(0));
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return layer.h[size_t(a * 25)] > layer.h[size_t(b * 25)]; });
  const std::vector<float> expected = naive(layer, 0.01, order, [&](int64_t r, int64_t c, float v) { return scales.round(r, c, v); });
  int differ = 0;
  for (int64_t r = 0; r < 5; ++r)
    for (int64_t c = 0; c < 24; ++c) {
      const float value = grid.scale(r, c / 8) * float(grid.level(r, c));
      differ += std::abs(value - expected[size_t(r * 24 + c)]) > 1e-5f;
    }
  EXPECT_EQ(differ, 0);
}

double solved(const Layer& layer, bool act_order, int sweeps, int bits = 3) {
  GroupGrid grid(bits, false, layer.rows, layer.n, 32, ScaleSearch::least_squares);
  return round_columns(problem_of(layer, act_order, sweeps), grid);
}

TEST(RoundColumns, FeedbackBeatsNearestAndSweepsBeatFeedback) {
  const Layer layer = correlated_layer(16, 96);
  GroupGrid grid(3, false, 16, 96, 32, ScaleSearch::least_squares);
  round_rows(grid, layer.weights.data(), {});
  std::vector<float> h(layer.h.begin(), layer.h.end()), lost = layer.weights;
  for (int64_t r = 0; r < 16; ++r)
    for (int64_t c = 0; c < 96; ++c) lost[size_t(r * 96 + c)] -= grid.scale(r, c / 32) * float(grid.level(r, c));
  const double nearest = energy(lost, 16, 96, h) / energy(layer.weights, 16, 96, h);
  const double ordered = solved(layer, true, 0), running = solved(layer, false, 0);
  EXPECT_LT(ordered, 0.4 * nearest);
  EXPECT_LT(running, 0.6 * nearest);
  EXPECT_LT(solved(layer, true, 4), 0.9 * ordered);
  EXPECT_LT(solved(layer, false, 4), 0.9 * running);
}

TEST(RoundColumns, WhatItReportsIsWhatTheGridHolds) {
  const Layer layer = correlated_layer(8, 256);
  for (const Codec* codec : {&codec_q4_0, &codec_q4_1, &codec_q3_k, &codec_iq4_nl}) {
    BlockGrid grid(*codec->blocks, 8, 256, ScaleSearch::least_squares);
    const double reported = round_columns(problem_of(layer, true, 3), grid);
    const std::vector<float> held = block_tensor(*codec, {8, 256}, grid.bytes()).decode().to_floats();
    std::vector<float> lost = layer.weights, h(layer.h.begin(), layer.h.end());
    double mean = 0;
    for (size_t i = 0; i < 256; ++i) mean += h[i * 257] / 256;
    for (size_t i = 0; i < 256; ++i) h[i * 257] += float(0.01 * mean);
    for (size_t i = 0; i < lost.size(); ++i) lost[i] -= held[i];
    EXPECT_NEAR(energy(lost, 8, 256, h) / energy(layer.weights, 8, 256, h) / reported, 1, 1e-2) << codec->name;
  }
}

double output_db(const Graph& graph, const std::string& recipe, const PipelineInputs& inputs, const std::vector<Array>& input) {
  Graph small = graph;
  run_recipe(small, recipe, inputs);
  return testing::sqnr_db(run_reference(small, input)[0], run_reference(graph, input)[0]);
}

TEST(QuantizeColumns, OutputsOfADecoderComeNearerThanByNearest) {
  const Graph graph = testing::small_decoder(testing::small_shape());
  const PipelineInputs texts = texts_of(50);
  const std::vector<Array> input = texts.calibration.get(3);
  for (const char* type : {"type=q4_0", "type=int, bits=3, group=16"}) {
    const double nearest = output_db(graph, std::string("quantize-weights{") + type + ", method=nearest}", {}, input);
    const double columns = output_db(graph, std::string("quantize-columns{") + type + "}", texts, input);
    EXPECT_GT(columns, nearest + 2) << type << " " << nearest;
  }
  EXPECT_THROW(output_db(graph, "quantize-columns", {}, input), Error);
}

TEST(QuantizeColumns, LittleMemoryMeansFewerSamplesAndSaysSo) {
  Graph graph = testing::small_decoder(testing::small_shape());
  PipelineInputs texts = texts_of(50);
  texts.max_memory = 100'000;   // 24 tokens of x and the gated 96, and the rotary tables: 20,000 bytes a sample and graph
  const std::vector<std::string> notes = run_recipe(graph, "quantize-columns{type=q4_0}", texts).passes.back().notes;
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) { return note.find("of 6 calibration samples were used") != std::string::npos; }));
}

// 6 texts of 24 tokens, at most 96 inputs.
TEST(QuantizeColumns, SaysWhereItSawLittle) {
  PipelineInputs texts = texts_of(50);
  const auto told = [&](const std::string& part) {
    Graph graph = testing::small_decoder(testing::small_shape());
    const std::vector<std::string> notes = run_recipe(graph, "quantize-columns{type=q4_0, sweeps=0}", texts).passes[0].notes;
    return std::ranges::any_of(notes, [&](const std::string& note) { return note.find(part) != std::string::npos; });
  };
  EXPECT_TRUE(told("_down saw 1.5 tokens or pixels for each of its 96 inputs"));
  EXPECT_TRUE(told("14 times as much calibration data"));
  texts.calibration.get = [first = texts.calibration.get, count = texts.calibration.count](int64_t i) { return first(i % count); };
  texts.calibration.count = 90;
  EXPECT_FALSE(told("tokens or pixels"));
}

TEST(QuantizeColumns, ConvolutionsToo) {
  const Graph graph = three_layers();
  const std::vector<Array> input{random_array({1, 64, 6, 6}, 100)};
  const double nearest = output_db(graph, "quantize-weights{bits=3}", {}, input);
  EXPECT_GT(output_db(graph, "quantize-columns{bits=3}", samples_of({1, 64, 6, 6}, 5), input), nearest + 2);
}

}  // namespace
}  // namespace pare
