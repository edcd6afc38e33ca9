#include <gtest/gtest.h>

#include "codecs/codecs.h"
#include "engine/engine.h"
#include "kernels/conv_int8/conv_int8.h"
#include "passes/pass.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::sqnr_db;

PipelineInputs calibration(Dims dims, int64_t count = 8) {
  PipelineInputs inputs;
  inputs.calibration = {count, [dims](int64_t i) { return std::vector<Array>{testing::random_array(dims, uint64_t(i) + 100)}; }};
  return inputs;
}

SessionOptions plain(const std::string& kernels = "") {
  SessionOptions options;
  options.threads = 1;
  options.use_cache = false;
  options.tune = false;
  options.kernels = kernels;
  return options;
}

struct Case {
  const char* name;
  Graph (*network)(int64_t);
  Dims input;
};
Graph residual(int64_t batch) { return testing::residual_network(batch); }
const Case kCases[] = {{"residual", residual, {1, 3, 17, 19}}, {"mobile", testing::mobile_network, {1, 3, 20, 20}}};

TEST(QuantizeStatic, IntegerExecutionFollowsTheQuantizedGraph) {
  for (const Case& c : kCases)
    for (const char* options : {"", "{activations=s8}", "{residual=no}", "{calibration=mse}", "{calibration=entropy}", "{calibration=percentile}", "{bits=4}", "{bits=2}", "{bits=4, activation-bits=4}", "{activation-bits=4, activations=s8}", "{overflow=avoid}", "{overflow=allow}"}) {
      const Graph original = c.network(1);
      Graph graph = original;
      run_recipe(graph, std::string("quantize-static") + options, calibration(c.input));
      const std::vector<Array> inputs{testing::random_array(c.input, 5)};
      const Array exact = run_reference(original, inputs)[0], quantized = run_reference(graph, inputs)[0];
      Session session(graph, {c.input}, plain());
      const Array fast = session.run(inputs)[0];
      const bool few = std::string(options).find("bits") != std::string::npos;  // training has to make up for it, and a step is sixteen times as wide
      EXPECT_GT(sqnr_db(fast, quantized), few ? 20 : 35) << c.name << options;  // float rounding in the reference may flip a step now and then
      if (!few) EXPECT_GT(sqnr_db(quantized, exact), 15) << c.name << options;
      int integer = 0;
      for (const LayerReport& layer : session.layers()) integer += layer.precision == "int8" && layer.op.starts_with("Conv");
      EXPECT_GE(integer, 6) << c.name << options << ": convolutions run in integers";
    }
}

TEST(QuantizeStatic, EveryInstructionSetGivesTheSameBits) {
  for (const Case& c : kCases) {
    Graph graph = c.network(1);
    run_recipe(graph, "quantize-static", calibration(c.input));
    const std::vector<Array> inputs{testing::random_array(c.input, 6)};
    std::optional<Array> first;
    for (const ConvInt8Kernel& kernel : conv_int8_kernels()) {
      if (!kernel.supported()) continue;
      for (int threads : {1, 2}) {
        SessionOptions options = plain(kernel.isa);
        options.threads = threads;
        Array out;
        try {
          out = Session(graph, {c.input}, options).run(inputs)[0];
        } catch (const UsageError&) {
          continue;  // a family without a row for this set
        }
        if (!first) first = out;
        EXPECT_TRUE(out.same_as(*first)) << c.name << " " << kernel.isa << " " << threads;
      }
    }
    EXPECT_TRUE(first.has_value());
  }
}

// Constant matrices of three axes, a layer whose weights no sum concerns, and what the notes say of them.
TEST(QuantizeStatic, SmallSumsWhereTheyApplyAlone) {
  testing::Network stack;
  const ValueId x = stack.node("MatMul", {stack.input("x", {2, 8, 16}), stack.constant({2, 16, 24})});
  const Graph original = stack.finish(stack.node("MatMul", {stack.node("Relu", {x}), stack.constant({2, 24, 8})}));
  Graph graph = original;
  const PipelineResult result = run_recipe(graph, "quantize-static{overflow=avoid}", calibration({2, 8, 16}));
  const std::vector<Array> inputs{testing::random_array({2, 8, 16}, 5)};
  EXPECT_GT(sqnr_db(run_reference(graph, inputs)[0], run_reference(original, inputs)[0]), 25);
  const auto chosen = [](const PipelineResult& done) {
    for (const std::string& note : done.passes[0].notes)
      if (note.find("16-bit sums") != std::string::npos) return std::atoi(note.c_str());
    return 0;
  };
  EXPECT_EQ(chosen(result), 0);
  Graph mobile = testing::mobile_network(1);
  int layers = 0;
  for (const Node& node : mobile.nodes)
    if (const Tensor* weight = node.is("Conv") || node.is("MatMul") ? mobile.constant(node.inputs[1]) : nullptr) layers += weight->dims[1] > 1;
  EXPECT_EQ(chosen(run_recipe(mobile, "quantize-static{overflow=avoid}", calibration({1, 3, 20, 20}))), layers) << "not the depthwise ones";
  Graph few = testing::mobile_network(1);
  EXPECT_LT(chosen(run_recipe(few, "quantize-static{overflow=avoid, bits=4}", calibration({1, 3, 20, 20}))), 3) << "the outermost ones alone have 8 bits";
}

TEST(QuantizeStatic, WeightsAreStoredInEightBits) {
  Graph graph = testing::residual_network();
  const PipelineResult result = run_recipe(graph, "quantize-static", calibration({1, 3, 17, 19}));
  EXPECT_LT(result.passes[0].bytes_after, result.passes[0].bytes_before * 0.3);
}

TEST(QuantizeStatic, FewBitsBetweenTheFirstLayerAndTheLast) {
  Graph graph = testing::residual_network();
  run_recipe(graph, "quantize-static{bits=4, activation-bits=4}", calibration({1, 3, 17, 19}));
  std::vector<Type> weights, inputs;
  const auto producers = graph.producers();
  for (const Node& node : graph.nodes) {
    if (!node.is("Conv") && !node.is("Gemm")) continue;
    weights.push_back(graph.constant(node.inputs[1])->parts[0].type());
    inputs.push_back(graph.at(graph.nodes[size_t(producers[size_t(node.inputs[0])])].inputs[0]).type);
  }
  ASSERT_GT(weights.size(), 4u);
  for (size_t i = 0; i < weights.size(); ++i) {
    const bool outer = i == 0 || i + 1 == weights.size();
    EXPECT_EQ(weights[i], outer ? Type::i8 : Type::i4) << i;
    EXPECT_EQ(inputs[i], outer ? Type::u8 : Type::u4) << i;
  }
  for (const char* recipe : {"quantize-static{bits=3}", "quantize-static{activation-bits=5}"}) {
    Graph other = testing::residual_network();
    EXPECT_THROW(run_recipe(other, recipe, calibration({1, 3, 17, 19})), UsageError) << recipe;
  }
}

// Scales for few levels leave out the largest weights where that loses less.
TEST(QuantizeStatic, FewLevelsGoToTheManySmallWeights) {
  for (int bits : {4, 2}) {
    Graph graph = testing::residual_network();
    const Graph original = graph;
    run_recipe(graph, "quantize-static{bits=" + std::to_string(bits) + "}", calibration({1, 3, 17, 19}));
    size_t n = 0;
    for (const Node& node : graph.nodes) {
      if (!node.is("Conv") || n++ == 0) continue;
      const Tensor& stored = *graph.constant(node.inputs[1]);
      const auto source = std::find_if(original.nodes.begin(), original.nodes.end(), [&](const Node& other) { return other.name == node.name; });
      const Array weight = original.constant(source->inputs[1])->decode();
      const Tensor largest = (bits == 4 ? codec_int4 : codec_int2).encode(weight, 0, 0);
      EXPECT_GT(sqnr_db(stored.decode(), weight), sqnr_db(largest.decode(), weight) + (bits == 2 ? 1 : 0)) << node.name;
    }
  }
}

TEST(QuantizeStatic, NeedsDataAndSaysSo) {
  Graph graph = testing::residual_network();
  try {
    run_recipe(graph, "quantize-static", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--data"), std::string::npos);
  }
}

TEST(QuantizeStatic, ExcludedLayersStayInFloat) {
  Graph graph = testing::residual_network();
  const PipelineResult result = run_recipe(graph, "quantize-static{exclude=Conv0|Gemm*}", calibration({1, 3, 17, 19}));
  EXPECT_TRUE(graph.constant(graph.nodes[0].inputs[1])->plain());
  bool said = false;
  for (const std::string& note : result.passes[0].notes) said |= note.find("Conv0") != std::string::npos;
  EXPECT_TRUE(said);
}

TEST(QuantizeStatic, MergesBatchNormalizationsFirst) {
  Graph graph = testing::residual_network(1, true);
  run_recipe(graph, "quantize-static", calibration({1, 3, 17, 19}));
  for (const LayerReport& layer : Session(graph, {{1, 3, 17, 19}}, plain()).layers()) EXPECT_NE(layer.implementation, "reference") << layer.op;
}

// ids → two tables of which one is used twice → linear layer with a bias that masks scores by −3.4e38.
Graph text_network() {
  testing::Network n;
  const ValueId x = n.input("x", {1, 5, 32}), mask = n.input("mask", {1, 5, 16});
  const ValueId ids = n.graph.add_value("ids", Type::i64, shape_of({1, 5})), table = n.constant({40, 32});
  n.graph.inputs.push_back(ids);
  const ValueId rows = n.node("Add", {n.node("Gather", {table, ids}), n.node("Gather", {table, ids})});
  const ValueId scores = n.node("MatMul", {n.node("Add", {rows, x}), n.constant({32, 16}, 0.2f)});
  return n.finish(n.node("MatMul", {n.node("Softmax", {n.node("Add", {scores, mask})}, {{"axis", int64_t(-1)}}), n.constant({16, 12}, 0.3f)}));
}

TEST(QuantizeGraphs, EmbeddingsAndAMaskOfTheLeastFloat) {
  PipelineInputs inputs;
  inputs.calibration = {8, [](int64_t i) {
                          std::vector<float> mask(80, 0.f);
                          for (size_t k = 0; k < mask.size(); ++k)
                            if (k % 16 > 9) mask[k] = -3.4028234e38f;
                          return std::vector<Array>{testing::random_array({1, 5, 32}, uint64_t(i) + 5), Array::of<float>({1, 5, 16}, mask), Array::of<int64_t>({1, 5}, {i, 1, 39, 1, 5})};
                        }};
  const Graph original = text_network();
  for (const char* recipe : {"quantize-static", "quantize-dynamic"}) {
    Graph graph = original;
    run_recipe(graph, recipe, inputs);
    int encoded = 0;
    for (const Value& value : graph.values) encoded += value.constant && value.constant->dims == Dims{40, 32} && !value.constant->plain();
    EXPECT_EQ(encoded, 1) << recipe << ": the table, once";
    const auto sample = inputs.calibration.get(3);
    EXPECT_GT(sqnr_db(run_reference(graph, sample)[0], run_reference(original, sample)[0]), 25) << recipe;
  }
}

TEST(QuantizeDynamic, StoresSmallAndStaysClose) {
  for (const Case& c : kCases)
    for (const char* options : {"", "{activations=all}", "{activations=none}"}) {
      const Graph original = c.network(1);
      Graph graph = original;
      run_recipe(graph, std::string("quantize-dynamic") + options, {});
      const std::vector<Array> inputs{testing::random_array(c.input, 5)};
      const Array exact = run_reference(original, inputs)[0], quantized = run_reference(graph, inputs)[0];
      EXPECT_GT(sqnr_db(Session(graph, {c.input}, plain()).run(inputs)[0], quantized), 60) << c.name << options;
      EXPECT_GT(sqnr_db(quantized, exact), 20) << c.name << options;
    }
}

TEST(CastWeights, SixteenBits) {
  for (const char* type : {"f16", "bf16"}) {
    const Graph original = testing::residual_network();
    Graph graph = original;
    const PipelineResult result = run_recipe(graph, std::string("cast-weights{type=") + type + "}", {});
    EXPECT_LT(result.passes[0].bytes_after, result.passes[0].bytes_before * 0.55);
    const std::vector<Array> inputs{testing::random_array({1, 3, 17, 19}, 5)};
    const Array exact = run_reference(original, inputs)[0];
    EXPECT_GT(sqnr_db(Session(graph, {{1, 3, 17, 19}}, plain()).run(inputs)[0], exact), 30) << type;
  }
}

TEST(FoldBatchnorm, KeepsTheFunction) {
  const Graph original = testing::residual_network(1, true);
  Graph graph = original;
  run_recipe(graph, "fold-batchnorm", {});
  for (const Node& node : graph.nodes) EXPECT_NE(node.op_type, "BatchNormalization");
  const std::vector<Array> inputs{testing::random_array({1, 3, 17, 19}, 5)};
  EXPECT_LT(testing::relative_error(run_reference(graph, inputs)[0], run_reference(original, inputs)[0]), 1e-5);
}

TEST(EqualizeLayers, KeepsTheFunctionAndEvensRanges) {
  const Graph original = testing::residual_network();
  Graph graph = original;
  const PipelineResult result = run_recipe(graph, "equalize-layers", {});
  EXPECT_EQ(result.passes[0].changed, 2);
  const std::vector<Array> inputs{testing::random_array({1, 3, 17, 19}, 5)};
  EXPECT_LT(testing::relative_error(run_reference(graph, inputs)[0], run_reference(original, inputs)[0]), 1e-5);
}

// Σ over outputs of |mean error| on the calibration samples.
double mean_error(const Graph& graph, const Graph& original, const Dims& dims) {
  std::vector<double> total(10, 0.0);
  for (uint64_t i = 0; i < 32; ++i) {
    const std::vector<Array> inputs{testing::random_array(dims, i + 100)};
    const auto a = run_reference(graph, inputs)[0].to_floats(), b = run_reference(original, inputs)[0].to_floats();
    for (size_t k = 0; k < 10; ++k) total[k] += a[k] - b[k];
  }
  double sum = 0;
  for (double t : total) sum += std::abs(t);
  return sum;
}

TEST(CorrectBias, BringsTheMeanBack) {
  const Dims dims{1, 3, 17, 19};
  const Graph original = testing::residual_network();
  Graph rough = original, corrected = original, integers = original, twice = original;
  run_recipe(rough, "quantize-weights{bits=4}", calibration(dims, 32));
  run_recipe(corrected, "quantize-weights{bits=4}, correct-bias", calibration(dims, 32));
  EXPECT_LT(mean_error(corrected, original, dims), 0.7 * mean_error(rough, original, dims));
  // quantize-static does it itself where it makes weights coarser, and nothing is taken out twice.
  Graph fine = original;
  run_recipe(fine, "quantize-static{overflow=allow}", calibration(dims, 32));
  run_recipe(integers, "quantize-static{overflow=avoid}", calibration(dims, 32));
  run_recipe(twice, "quantize-static{overflow=avoid}, correct-bias", calibration(dims, 32));
  EXPECT_LT(mean_error(integers, original, dims), mean_error(fine, original, dims));
  EXPECT_NEAR(mean_error(twice, original, dims), mean_error(integers, original, dims), 0.02 * mean_error(integers, original, dims));
}

TEST(Recipe, RoundTripsAndNamesMistakes) {
  const std::string canonical = canonical_recipe(" fold-batchnorm,quantize-static{ calibration = mse } ");
  EXPECT_EQ(canonical, canonical_recipe(canonical));
  EXPECT_NE(canonical.find("calibration=mse"), std::string::npos);
  EXPECT_NE(canonical.find("percentile=99.99"), std::string::npos);
  for (const char* broken : {"quantize-statik", "quantize-static{calib=mse}", "quantize-static{calibration=best}", "quantize-static{percentile=5}",
                             "quantize-static{percentile=x}", "quantize-static{", "fold-batchnorm fold-constants", ",", "cast-weights{type}"})
    EXPECT_THROW(canonical_recipe(broken), UsageError) << broken;
  try {
    canonical_recipe("quantise-static");
  } catch (const UsageError& error) {
    EXPECT_NE(error.fix().find("quantize-static"), std::string::npos);
  }
}

}  // namespace
}  // namespace pare
