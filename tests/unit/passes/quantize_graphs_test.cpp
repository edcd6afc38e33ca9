// Graphs that break static quantization elsewhere: each has its test here, by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/engine.h"
#include "passes/pass.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::sqnr_db;

PipelineInputs calibration(const std::vector<Dims>& shapes, float scale = 1) {
  PipelineInputs inputs;
  inputs.calibration = {8, [shapes, scale](int64_t i) {
                          return std::vector<Array>{testing::random_array(shapes[size_t(i) % shapes.size()], uint64_t(i) + 100, scale)};
                        }};
  return inputs;
}

struct Quantized {
  Graph original, graph;
  std::vector<std::string> notes;
  std::vector<Array> exact, result;
};
Quantized quantize(const Graph& original, const std::vector<Dims>& shapes, const std::string& recipe = "quantize-static") {
  Quantized q{original, original, {}, {}, {}};
  q.notes = run_recipe(q.graph, recipe, calibration(shapes)).passes.back().notes;
  const std::vector<Array> inputs{testing::random_array(shapes[0], 5)};
  q.exact = run_reference(q.original, inputs);
  q.result = run_reference(q.graph, inputs);
  return q;
}

// Weights that convolutions and linear layers still hold in float.
int float_weights(const Graph& graph) {
  int count = 0;
  for (const Node& node : graph.nodes)
    if (node.is("Conv") || node.is("Gemm") || node.is("MatMul") || node.is("ConvTranspose"))
      if (const Tensor* weight = graph.constant(node.input(1))) count += weight->plain();
  return count;
}

int count(const Graph& graph, const std::string& op) {
  return int(std::count_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) { return node.op_type == op; }));
}

bool says(const std::vector<std::string>& notes, const std::string& words) {
  return std::any_of(notes.begin(), notes.end(), [&](const std::string& note) { return note.find(words) != std::string::npos; });
}

// The node that computes the value of this name, and the one that computes its input i.
const Node* producer(const Graph& graph, ValueId id) {
  const int n = graph.producers()[size_t(id)];
  return n < 0 ? nullptr : &graph.nodes[size_t(n)];
}
float scale_behind(const Graph& graph, const Node& reader, size_t i) {
  const Node* back = producer(graph, reader.inputs[i]);
  EXPECT_TRUE(back != nullptr && back->is("DequantizeLinear"));
  return back == nullptr ? 0 : graph.constant(back->inputs[1])->decode().to_floats()[0];
}
const Node& only(const Graph& graph, const std::string& op) {
  const Node* found = nullptr;
  for (const Node& node : graph.nodes)
    if (node.op_type == op) found = &node;
  EXPECT_NE(found, nullptr) << op;
  return *found;
}

// A detector's head: boxes reach hundreds, scores lie in 0…1, one Concat joins them.
TEST(QuantizeGraphs, BoxesBesideScoresStayInFloat) {
  testing::Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 12, 12}), 3, 16, 3, 1)});
  const ValueId boxes = n.node("Mul", {n.conv(x, 16, 4, 1, 1), n.graph.add_constant("stride", Array::scalar(300.f))});
  const ValueId scores = n.node("Sigmoid", {n.conv(x, 16, 20, 1, 1)});
  const ValueId joined = n.node("Concat", {boxes, scores}, {{"axis", int64_t(1)}});
  const Quantized q = quantize(n.finish(n.node("Transpose", {joined}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}})), {{1, 3, 12, 12}});
  EXPECT_EQ(float_weights(q.graph), 0) << "the head's weights are int8";
  EXPECT_NE(producer(q.graph, only(q.graph, "Concat").inputs[1])->op_type, "DequantizeLinear");
  EXPECT_TRUE(says(q.notes, "boxes beside scores"));
  const std::vector<float> exact = q.exact[0].to_floats(), got = q.result[0].to_floats();
  double signal = 0, noise = 0;
  for (size_t i = 0; i < exact.size(); ++i)
    if (i % 24 >= 4) {
      signal += double(exact[i]) * exact[i];
      noise += (double(got[i]) - exact[i]) * (double(got[i]) - exact[i]);
    }
  EXPECT_GT(10 * std::log10(signal / noise), 25) << "scores survive beside the boxes";
}

TEST(QuantizeGraphs, PartsOfAConcatKeepTheScaleTheirReadersNeed) {
  testing::Network n;
  const ValueId x = n.input("image", {1, 3, 12, 12});
  const ValueId loud = n.node("Mul", {n.conv(x, 3, 8, 3, 1), n.graph.add_constant("ten", Array::scalar(10.f))});
  const ValueId quiet = n.conv(x, 3, 8, 3, 1), alone = n.conv(x, 3, 8, 3, 1), pooled = n.node("Resize", {n.conv(quiet, 8, 8, 3, 2), kNone, n.graph.add_constant("two", Array::of<float>({4}, {1, 1, 2, 2}))});
  const ValueId joined = n.node("Concat", {loud, quiet, alone, pooled}, {{"axis", int64_t(1)}});
  const Quantized q = quantize(n.finish(n.conv(joined, 32, 8, 1, 1)), {{1, 3, 12, 12}});
  const Node& concat = only(q.graph, "Concat");
  const float whole = scale_behind(q.graph, only(q.graph, "Concat"), 0);
  EXPECT_LT(scale_behind(q.graph, concat, 1), whole / 3) << "has another reader: its own scale";
  EXPECT_EQ(scale_behind(q.graph, concat, 2), whole) << "nobody else reads it: rounded once";
  EXPECT_EQ(scale_behind(q.graph, concat, 3), scale_behind(q.graph, only(q.graph, "Resize"), 0)) << "nearest neighbours are moved";
  EXPECT_GT(sqnr_db(q.result[0], q.exact[0]), 25);
}

// A detector's stem: a few of 16 channels are a hundred times louder, a depthwise layer follows.
TEST(QuantizeGraphs, ADepthwiseLayerBehindLoudChannelsComputesInFloat) {
  testing::Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 12, 12}), 3, 16, 3, 1)});
  Array gains(Type::f32, {1, 16, 1, 1}), back(Type::f32, {16, 1, 3, 3});
  for (int c = 0; c < 16; ++c) {
    gains.mutable_values<float>()[size_t(c)] = c < 2 ? 100.f : 0.2f;
    for (int t = 0; t < 9; ++t) back.mutable_values<float>()[size_t(c * 9 + t)] = 0.3f / gains.values<float>()[size_t(c)];
  }
  const ValueId uneven = n.node("Mul", {x, n.graph.add_constant("gains", Tensor(gains))});
  const ValueId even = n.node("Conv", {uneven, n.graph.add_constant("w", Tensor(back))}, {{"group", int64_t(16)}, {"pads", std::vector<int64_t>(4, 1)}});
  const Quantized q = quantize(n.finish(n.conv(even, 16, 8, 1, 1)), {{1, 3, 12, 12}});
  EXPECT_EQ(float_weights(q.graph), 0);
  EXPECT_TRUE(says(q.notes, "of 16 of its input reaches"));
  EXPECT_GT(sqnr_db(q.result[0], q.exact[0]), 25);
}

TEST(QuantizeGraphs, GroupedAndDepthwiseConvolutions) {
  testing::Network n;
  ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 8, 12, 12}), 8, 24, 3, 1, 4)});
  x = n.node("Relu", {n.conv(x, 24, 24, 3, 2, 24)});
  Quantized q = quantize(n.finish(n.conv(x, 24, 12, 3, 1, 3)), {{1, 8, 12, 12}});
  EXPECT_EQ(float_weights(q.graph), 0);
  std::erase_if(q.notes, [](const std::string& note) { return note.find("fit the 16-bit sums") != std::string::npos; });  // told on CPUs without VNNI
  EXPECT_EQ(q.notes, std::vector<std::string>{});
  EXPECT_GT(sqnr_db(q.result[0], q.exact[0]), 25);
}

TEST(QuantizeGraphs, WeightsSharedBetweenLayersAreStoredOnce) {
  testing::Network n;
  ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 12, 12}), 3, 16, 3, 1)});
  const ValueId weight = n.constant({16, 16, 3, 3}, 0.1f), bias = n.constant({16}, 0.1f);
  for (int i = 0; i < 4; ++i) x = n.node("Relu", {n.node("Conv", {x, weight, bias}, {{"pads", std::vector<int64_t>(4, 1)}})});
  const Quantized q = quantize(n.finish(x), {{1, 3, 12, 12}});
  std::set<ValueId> weights;
  for (const Node& node : q.graph.nodes)
    if (node.is("Conv")) weights.insert(node.inputs[1]);
  EXPECT_EQ(weights.size(), 2u);
  EXPECT_EQ(float_weights(q.graph), 0);
  EXPECT_GT(sqnr_db(q.result[0], q.exact[0]), 25);
}

TEST(QuantizeGraphs, OpenExtentsAreCalibratedOnPicturesOfEverySize) {
  testing::Network n;
  const ValueId in = n.input("image", {1, 3, 12, 12});
  n.graph.at(in).shape = Shape{{-1, "N"}, {3, ""}, {-1, "H"}, {-1, "W"}};
  const ValueId x = n.node("Relu", {n.conv(in, 3, 16, 3, 1)});
  const ValueId y = n.node("Add", {n.conv(x, 16, 16, 3, 1), x});
  const Quantized q = quantize(n.finish(n.node("DepthToSpace", {n.conv(y, 16, 12, 3, 1)}, {{"blocksize", int64_t(2)}})), {{1, 3, 12, 12}, {1, 3, 9, 14}, {2, 3, 7, 5}});
  EXPECT_EQ(float_weights(q.graph), 0);
  EXPECT_EQ(count(q.graph, "QuantizeLinear"), 4);
  EXPECT_GT(sqnr_db(q.result[0], q.exact[0]), 25);
}

// Distribution heads: a box edge is the mean of a softmax over bins, computed by a convolution.
TEST(QuantizeGraphs, DecodingASoftmaxStaysInFloat) {
  testing::Network n;
  const ValueId x = n.conv(n.input("image", {1, 3, 6, 6}), 3, 64, 3, 1);
  const ValueId bins = n.node("Transpose", {n.node("Reshape", {x, n.graph.add_constant("shape", Array::of<int64_t>({4}, {1, 4, 16, 36}))})}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  const ValueId mean = n.node("Softmax", {bins}, {{"axis", int64_t(1)}});
  const Quantized q = quantize(n.finish(n.node("Conv", {mean, n.constant({1, 16, 1, 1})})), {{1, 3, 6, 6}});
  EXPECT_EQ(float_weights(q.graph), 0);
  EXPECT_TRUE(says(q.notes, "decodes a Softmax"));
  EXPECT_EQ(count(q.graph, "QuantizeLinear"), 1);
}

// A transformer's block: three of 32 channels behind the normalization are forty times louder than the rest.
Graph outlier_block(bool decomposed) {
  testing::Network n;
  n.graph.opsets[""] = 17;
  ValueId x = n.input("tokens", {1, 12, 32});
  const auto norm = [&](ValueId in, float loud) {
    Array gamma(Type::f32, {32});
    for (size_t c = 0; c < 32; ++c) gamma.mutable_values<float>()[c] = c % 11 == 4 ? loud : 1.f;
    const ValueId g = n.graph.add_constant("gamma", Tensor(gamma)), b = n.constant({32}, 0.1f);
    if (!decomposed) return n.node("LayerNormalization", {in, g, b});
    const ValueId centred = n.node("Sub", {in, n.node("ReduceMean", {in}, {{"axes", std::vector<int64_t>{-1}}})});
    const ValueId variance = n.node("ReduceMean", {n.node("Mul", {centred, centred})}, {{"axes", std::vector<int64_t>{-1}}});
    return n.node("Add", {n.node("Mul", {n.node("Div", {centred, n.node("Sqrt", {variance})}), g}), b});
  };
  const ValueId a = norm(x, 40);
  const ValueId q = n.node("MatMul", {a, n.constant({32, 32}, 0.1f)}), k = n.node("MatMul", {a, n.constant({32, 32}, 0.1f)});
  x = n.node("Add", {x, n.node("Mul", {q, n.node("Sigmoid", {k})})});
  const ValueId wide = n.node("Relu", {n.node("Add", {n.node("MatMul", {norm(x, 40), n.constant({32, 64}, 0.1f)}), n.constant({64}, 0.1f)})});
  return n.finish(n.node("MatMul", {wide, n.constant({64, 32}, 0.1f)}));
}

// Integer engines add a bias to their sums, others to a product of floats: in whole units of the sums both give the same.
TEST(QuantizeGraphs, BiasesBehindAMatMulAreTheSameInEveryEngine) {
  testing::Network n;
  ValueId x = n.input("x", {1, 16, 32});
  for (int layer = 0; layer < 3; ++layer) x = n.node("Add", {n.constant({32}), n.node("MatMul", {x, n.constant({32, 32}, 0.3f)})});
  const Quantized q = quantize(n.finish(x), {{1, 16, 32}});
  SessionOptions options;
  options.use_cache = false;
  Session session(q.graph, {{1, 16, 32}}, options);
  EXPECT_GT(sqnr_db(q.result[0], session.run({testing::random_array({1, 16, 32}, 5)})[0]), 110);
  EXPECT_GT(sqnr_db(q.exact[0], q.result[0]), 25);
}

TEST(QuantizeGraphs, OutlierChannelsOfATransformerAreSmoothed) {
  for (const bool decomposed : {false, true}) {
    const Graph block = outlier_block(decomposed);
    const Quantized smooth = quantize(block, {{1, 12, 32}}, "smooth-activations");
    EXPECT_LT(testing::relative_error(smooth.result[0], smooth.exact[0]), 1e-5) << "the function is kept";
    EXPECT_GE(smooth.graph.find(block.at(block.nodes[decomposed ? 7 : 0].outputs[0]).name + "_smoothed"), 0);
    for (const char* quantization : {"quantize-dynamic", "quantize-static"}) {
      const Quantized plain = quantize(block, {{1, 12, 32}}, quantization);
      const Quantized better = quantize(block, {{1, 12, 32}}, std::string("smooth-activations, ") + quantization);
      EXPECT_EQ(float_weights(better.graph), 0);
      EXPECT_GT(sqnr_db(better.result[0], better.exact[0]), sqnr_db(plain.result[0], plain.exact[0]) + 3) << quantization << (decomposed ? " decomposed" : "");
      EXPECT_GT(sqnr_db(better.result[0], better.exact[0]), 25) << quantization;
    }
  }
}

TEST(QuantizeGraphs, SmoothingLeavesWhatAResidualReadsToo) {
  testing::Network n;
  n.graph.opsets[""] = 17;
  const ValueId x = n.node("LayerNormalization", {n.input("tokens", {1, 12, 32}), n.constant({32}), n.constant({32})});
  const Graph graph = n.finish(n.node("Add", {n.node("MatMul", {x, n.constant({32, 32}, 0.1f)}), x}));
  const Quantized q = quantize(graph, {{1, 12, 32}}, "smooth-activations");
  EXPECT_EQ(print(q.graph), print(graph));
  EXPECT_TRUE(says(q.notes, "no value is read by float layers alone"));
}

int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const Value& value : graph.values)
    if (value.constant) bytes += value.constant->size_bytes();
  return bytes;
}

TEST(AssignBits, KeepsToTheSizeAndSpendsItOnWhatCostsMost) {
  const Graph network = testing::residual_network();
  const Quantized all = quantize(network, {{1, 3, 17, 19}}), some = quantize(network, {{1, 3, 17, 19}}, "assign-bits{size=0.5}");
  EXPECT_LE(constant_bytes(some.graph), constant_bytes(network) / 2);
  EXPECT_GT(constant_bytes(some.graph), constant_bytes(all.graph)) << "the budget is used";
  EXPECT_GT(sqnr_db(some.result[0], some.exact[0]), sqnr_db(all.result[0], all.exact[0]) + 1);
  EXPECT_TRUE(says(some.notes, "in bf16: alone it leaves the output"));
  EXPECT_EQ(print(some.graph), print(quantize(network, {{1, 3, 17, 19}}, "assign-bits{size=0.5}").graph)) << "the same twice";
}

TEST(AssignBits, StopsWhereTheOutputIsGoodEnough) {
  const Graph network = testing::residual_network();
  const Quantized good = quantize(network, {{1, 3, 17, 19}}, "assign-bits{size=1, least-sqnr=42}");
  EXPECT_FALSE(says(good.notes, "is not reached"));
  EXPECT_GT(sqnr_db(good.result[0], good.exact[0]), 38) << "on an input it has not seen";
  EXPECT_LT(constant_bytes(good.graph), constant_bytes(network) * 9 / 10);
  EXPECT_TRUE(says(quantize(network, {{1, 3, 17, 19}}, "assign-bits{size=0.3, least-sqnr=90}").notes, "least-sqnr=90 is not reached"));
  EXPECT_TRUE(says(quantize(network, {{1, 3, 17, 19}}, "assign-bits{size=0.1}").notes, "the smallest forms already take more"));
}

TEST(AssignBits, LayersWithoutNamesOrWithNamesOfOperators) {
  Graph network = testing::residual_network();
  int n = 0;
  for (Node& node : network.nodes)
    if (node.is("Conv")) node.name = n++ % 3 == 0 ? "" : n % 3 == 1 ? "Conv" : "a|b*";
  const Quantized q = quantize(network, {{1, 3, 17, 19}}, "assign-bits{size=0.5}");
  EXPECT_LE(constant_bytes(q.graph), constant_bytes(network) / 2);
  EXPECT_GE(float_weights(q.graph), 0);
  EXPECT_GT(count(q.graph, "QuantizeLinear"), 2) << "excluding one layer by name excludes no other";
}

// What follows a layer can magnify its noise: of x - a(x) with a(x) close to x little is left, so that a(x) in 8 bits, 40 dB
// above its noise, spoils all that comes after it.
TEST(QuantizeGraphs, LayersThatTheOutputCannotBearComputeInFloat) {
  testing::Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, -1, -1}), 3, 8, 3, 1)});  // extents are known from samples alone
  std::vector<float> nearly_one(64, 0.f);
  for (size_t i = 0; i < 8; ++i) nearly_one[i * 9] = 0.98f;
  const ValueId near = n.node("Conv", {x, n.graph.add_constant("nearly_one", Array::of<float>({8, 8, 1, 1}, nearly_one))});
  n.graph.nodes.back().name = "near";
  const ValueId rest = n.node("Mul", {n.node("Sub", {x, near}), n.graph.add_constant("fifty", Array::scalar(50.f))});
  const Graph graph = n.finish(n.conv(rest, 8, 16, 3, 1));
  const auto quantized = [&](const std::string& share) { return quantize(graph, {{1, 3, 12, 12}}, "quantize-static{float-share=" + share + "}"); };
  const Quantized none = quantized("0"), some = quantized("0.1"), little = quantized("0.01");
  const std::string told = "node 'near' (Conv) stores int8 weights and computes in float: in 8 bits it alone would leave the output";
  EXPECT_FALSE(says(none.notes, told));
  EXPECT_FALSE(says(little.notes, told)) << "it takes more than a hundredth of the multiplications";
  EXPECT_TRUE(says(some.notes, told));
  EXPECT_EQ(float_weights(some.graph), 0) << "small all the same";
  EXPECT_EQ(count(some.graph, "QuantizeLinear"), count(none.graph, "QuantizeLinear") - 1) << "the others stay in 8 bits";
  EXPECT_GT(sqnr_db(some.result[0], some.exact[0]), sqnr_db(none.result[0], none.exact[0]) + 5);
}

TEST(QuantizeGraphs, WeightsOnlyAsTheRecipeSays) {
  const Quantized q = quantize(testing::residual_network(), {{1, 3, 17, 19}}, "quantize-static{weights-only=Conv*}");
  EXPECT_EQ(float_weights(q.graph), 0);
  EXPECT_TRUE(says(q.notes, "weights-only"));
  for (const Node& node : q.graph.nodes)
    EXPECT_FALSE(node.is("Conv") && producer(q.graph, node.inputs[0]) != nullptr && producer(q.graph, node.inputs[0])->is("DequantizeLinear"));
}

TEST(QuantizeGraphs, TransposedConvolutions) {
  for (const int64_t group : {1, 2}) {
    testing::Network n;
    const ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 6, 6}), 3, 8, 3, 1)});
    const ValueId up = n.node("ConvTranspose", {x, n.constant({8, 6 / group, 4, 4}, 0.1f), n.constant({6})}, {{"strides", std::vector<int64_t>{2, 2}}, {"group", group}});
    const Quantized q = quantize(n.finish(n.conv(n.node("Relu", {up}), 6, 4, 3, 1)), {{1, 3, 6, 6}});
    EXPECT_EQ(float_weights(q.graph), 0);
    EXPECT_GT(sqnr_db(q.result[0], q.exact[0]), 25);
    for (const Node& node : q.graph.nodes)
      EXPECT_TRUE(!node.is("ConvTranspose") || producer(q.graph, node.inputs[0])->is("DequantizeLinear") == (group == 1)) << "groups compute in float";
  }
}

}  // namespace
}  // namespace pare
