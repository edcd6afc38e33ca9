// Layers between quantizations: what runs in 8 bits, that it agrees with the reference, and that its bits are the same with
// every instruction set.
#include <gtest/gtest.h>

#include <cstdlib>

#include "codecs/codecs.h"
#include "engine/engine.h"
#include "kernels/conv_int8/conv_int8.h"
#include "support/networks.h"
#include "support/places.h"
#include "support/tuning.h"

namespace pare {
namespace {

// A network with QuantizeLinear → DequantizeLinear pairs and int8 weights.
class QuantizedNetwork : public testing::Network {
 public:
  explicit QuantizedNetwork(Type activations = Type::u8) : Network(31), type_(activations) {}

  ValueId pair(ValueId x, float scale, int zero = 128) {
    const std::string name = "q" + std::to_string(graph.nodes.size());
    const int stored = type_ == Type::u8 ? zero : zero - 128;
    const ValueId s = graph.add_constant(name + "_s", Array::scalar<float>(scale));
    const ValueId z = graph.add_constant(name + "_z", type_ == Type::u8 ? Array::scalar<uint8_t>(uint8_t(stored)) : Array::scalar<int8_t>(int8_t(stored)));
    const ValueId q = graph.add_value(name, type_), d = graph.add_value(name + "_d", Type::f32);
    graph.add_node("QuantizeLinear", {x, s, z}, {q}).name = name;
    graph.add_node("DequantizeLinear", {q, s, z}, {d}).name = name + "_d";
    return d;
  }
  // Weights as the reader would fold them: a constant with an int8 codec.
  ValueId weight(Dims dims, float scale = 0.02f, int axis = 0) {
    Array values(Type::i8, dims);
    Random random(uint64_t(graph.values.size()));
    for (int8_t& v : values.mutable_values<int8_t>()) {
      v = int8_t(random.below(255));
      if (random.uniform() < zeros) v = 0;
    }
    Array scales(Type::f32, {dims[size_t(axis)]});
    for (float& v : scales.mutable_values<float>()) v = scale * float(0.5 + random.uniform());
    const ValueId w = graph.add_constant("w" + std::to_string(graph.values.size()), affine_tensor(values, scales, Array(), axis));
    return w;
  }
  ValueId layer(ValueId x, int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t group = 1) {
    return node("Conv", {x, weight({out, in / group, kernel, kernel}, 0.02f / std::sqrt(float(in / group * kernel * kernel))), constant({out}, 0.1f)},
                {{"strides", std::vector<int64_t>{stride, stride}}, {"pads", std::vector<int64_t>(4, kernel / 2)}, {"group", group}});
  }
  double zeros = 0;  // the fraction of the weights made from now on
  ValueId swish(ValueId x) { return node("Mul", {x, node("Sigmoid", {x})}); }
  ValueId integers(const std::vector<int64_t>& values) {
    Array array(Type::i64, {int64_t(values.size())});
    std::copy(values.begin(), values.end(), array.mutable_values<int64_t>().begin());
    return graph.add_constant("i" + std::to_string(graph.values.size()), array);
  }
  ValueId slice(ValueId x, std::vector<int64_t> starts, std::vector<int64_t> ends, std::vector<int64_t> axes, std::vector<int64_t> steps) {
    return node("Slice", {x, integers(starts), integers(ends), integers(axes), integers(steps)});
  }

 private:
  Type type_;
};

using Ops = std::vector<std::string>;

// Runs `graph` with every instruction set, one thread and two. `expected`: the steps, without quantizing and reorders.
void check(const Graph& graph, const Ops& expected, double least_db = 38) {
  std::vector<Dims> dims;
  for (ValueId id : graph.inputs) dims.push_back(*known_dims(*graph.at(id).shape));
  const std::vector<Array> inputs = random_inputs(graph, dims, 3), exact = run_reference(graph, inputs);
  std::optional<std::vector<Array>> first;
  for (const ConvInt8Kernel& kernel : conv_int8_kernels()) {
    if (!kernel.supported()) continue;
    for (int threads : {1, 2}) {
      SessionOptions options;
      options.threads = threads;
      options.use_cache = false;
      options.tune = false;
      options.kernels = kernel.isa;
      Session session(graph, dims, options);
      Ops ops;
      for (const LayerReport& layer : session.layers())
        if (layer.op != "Quantize" && layer.op != "Dequantize" && layer.op != "Reorder") {
          ops.push_back(layer.op);
          EXPECT_TRUE(layer.precision == "int8" || layer.implementation == "view") << layer.op << " " << layer.implementation << " " << layer.note;
        }
      EXPECT_EQ(ops, expected) << kernel.isa;
      for (int repeat = 0; repeat < 2; ++repeat) {
        const std::vector<Array> fast = session.run(inputs);
        if (!first) {
          first = fast;
          for (size_t i = 0; i < exact.size(); ++i) EXPECT_GT(testing::sqnr_db(fast[i], exact[i]), least_db) << "output " << i;
        }
        for (size_t i = 0; i < exact.size(); ++i) EXPECT_TRUE(fast[i].same_as((*first)[i])) << kernel.isa << ", " << threads << " threads, run " << repeat;
      }
    }
  }
}

const Dims kImage{1, 8, 10, 12};

// Below 8 bits only integer layers know how values lie: whoever else reads or makes them has the graph's type.
TEST(IntegerEngine, FourBitsBesideOtherReadersAgreeWithTheReference) {
  const auto network = [](const char* between, bool as_output) {
    testing::Network n(5);
    n.graph.opsets[""] = 21;
    const ValueId x = n.input("x", {2, 3, 4}), scale = n.graph.add_constant("s", Array::scalar<float>(0.25f));
    const ValueId zero = n.graph.add_constant("z", Array::scalar<uint8_t>(7).cast(Type::u4));
    const ValueId q = n.graph.add_value("q", Type::u4), d = n.graph.add_value("d", Type::f32);
    n.graph.add_node("QuantizeLinear", {x, scale, zero}, {q});
    ValueId moved = q;
    if (between != nullptr) {
      moved = n.graph.add_value("m", Type::u4);
      n.graph.add_node(between, {q}, {moved});
    }
    n.graph.add_node("DequantizeLinear", {moved, scale, zero}, {d});
    Graph graph = n.finish(d);
    if (as_output) graph.outputs.push_back(q);
    return graph;
  };
  for (const char* between : {static_cast<const char*>(nullptr), "Flatten"})
    for (const bool as_output : {false, true}) {
      const Graph graph = network(between, as_output);
      const std::vector<Array> inputs = random_inputs(graph, {{2, 3, 4}}, 3), exact = run_reference(graph, inputs);
      const std::vector<Array> fast = Session(graph, {{2, 3, 4}}, {}).run(inputs);
      for (size_t i = 0; i < exact.size(); ++i) EXPECT_TRUE(fast[i].same_as(exact[i])) << (between ? between : "") << " output " << i;
    }
}

TEST(IntegerEngine, ActivationInFrontOfTheQuantizationIsComputedInFloats) {
  QuantizedNetwork n;
  ValueId x = n.pair(n.input("x", kImage), 0.03f);
  x = n.pair(n.swish(n.layer(x, 8, 20, 3)), 0.02f, 20);
  x = n.pair(n.node("LeakyRelu", {n.layer(x, 20, 20, 3, 1, 20)}, {{"alpha", 0.1f}}), 0.02f, 40);
  x = n.pair(n.node("HardSwish", {n.layer(x, 20, 64, 1)}), 0.02f, 30);
  x = n.pair(n.node("Sigmoid", {n.layer(x, 64, 5, 1)}), 1.0f / 255, 0);
  check(n.finish(x), {"Conv+Swish", "Conv+LeakyRelu", "Conv+HardSwish", "Conv+Sigmoid"});
}

TEST(IntegerEngine, ActivationsAroundAResidualSum) {
  QuantizedNetwork n;
  const ValueId x = n.pair(n.input("x", kImage), 0.03f);
  ValueId y = n.pair(n.node("Add", {n.pair(n.swish(n.layer(x, 8, 8, 3)), 0.02f, 20), x}), 0.04f);
  y = n.pair(n.node("LeakyRelu", {n.node("Add", {n.layer(y, 8, 8, 3), y})}), 0.03f, 60);
  check(n.finish(y), {"Conv+Swish+Add", "Conv+Add+LeakyRelu"});
}

TEST(IntegerEngine, FunctionsOfOneQuantizedValueAreTables) {
  for (Type type : {Type::u8, Type::i8}) {
    QuantizedNetwork n(type);
    ValueId x = n.pair(n.input("x", kImage), 0.03f);
    // Quantized before the activation, and inside it.
    ValueId y = n.pair(n.layer(x, 8, 24, 3), 0.04f);
    y = n.pair(n.node("Mul", {y, n.pair(n.node("Sigmoid", {y}), 1.0f / 255, 0)}), 0.02f, 20);
    y = n.pair(n.layer(y, 24, 24, 3, 1, 24), 0.03f);
    y = n.pair(n.node("Tanh", {n.node("Elu", {y})}), 0.008f, 120);
    x = n.pair(n.node("Softplus", {x}), 0.02f, 10);  // alone
    y = n.pair(n.node("Concat", {x, y}, {{"axis", int64_t(1)}}), 0.02f, 100);
    check(n.finish(n.pair(n.node("Abs", {y}), 0.02f, 0)), {"Conv+Sigmoid+Mul", "Conv+Elu+Tanh", "Softplus", "Requantize", "Requantize", "Abs"}, 30);
  }
}

TEST(IntegerEngine, ActivationsRecognizedByTheGraphAreTablesToo) {
  QuantizedNetwork n;
  const ValueId x = n.pair(n.layer(n.pair(n.input("x", kImage), 0.03f), 8, 24, 3), 0.04f);
  check(n.finish(n.pair(n.swish(x), 0.02f, 20)), {"Conv+Swish"});
}

TEST(IntegerEngine, LayersWriteTheirPartOfAConcatenation) {
  QuantizedNetwork n;
  const ValueId x = n.pair(n.input("x", kImage), 0.03f);
  // The quantization behind the Concat is made in front of it, in each part; a part that others read too is copied.
  const ValueId a = n.swish(n.layer(x, 8, 12, 3)), b = n.swish(n.layer(x, 8, 5, 3)), c = n.layer(x, 8, 8, 3, 1, 8);
  const ValueId y = n.pair(n.node("Concat", {a, b, c, x}, {{"axis", int64_t(1)}}), 0.03f);
  check(n.finish(n.pair(n.layer(y, 33, 16, 1), 0.05f)), {"Conv+Swish", "Conv+Swish", "Conv", "Concat", "Conv"});
}

TEST(IntegerEngine, SlicesIntoAConcatenationAreReadInPlace) {
  QuantizedNetwork n;
  const ValueId x = n.input("x", {2, 3, 12, 16});
  auto part = [&](int64_t row, int64_t col) { return n.slice(n.slice(x, {row}, {1 << 30}, {2}, {2}), {col}, {1 << 30}, {3}, {2}); };
  const ValueId y = n.node("Concat", {part(0, 0), part(1, 0), part(0, 1), part(1, 1)}, {{"axis", int64_t(1)}});
  check(n.finish(n.pair(n.layer(n.pair(y, 0.03f), 12, 16, 3), 0.05f)), {"Concat", "Concat", "Concat", "Concat", "Conv"});
}

TEST(IntegerEngine, MovesAreCopiesOfBytes) {
  QuantizedNetwork n;
  const ValueId x = n.pair(n.input("x", {2, 8, 6, 10}), 0.03f);
  const auto block = [&](const char* op, ValueId v, const char* mode) { return n.node(op, {v}, {{"blocksize", int64_t(2)}, {"mode", std::string(mode)}}); };
  const Array scales = [] { Array a(Type::f32, {4}); const float v[] = {1, 1, 3, 2}; std::copy_n(v, 4, a.mutable_values<float>().begin()); return a; }();
  n.graph.outputs = {
      n.pair(n.slice(x, {-2, 7}, {-100, 1}, {2, 3}, {-1, -3}), 0.03f), n.pair(n.node("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}), 0.03f),
      n.pair(block("DepthToSpace", x, "DCR"), 0.03f), n.pair(block("DepthToSpace", x, "CRD"), 0.03f),
      n.pair(n.node("Resize", {x, kNone, n.graph.add_constant("scales", scales)}, {{"mode", std::string("nearest")}, {"coordinate_transformation_mode", std::string("asymmetric")}, {"nearest_mode", std::string("floor")}}), 0.03f)};
  infer_shapes(n.graph);
  check(n.graph, {"Slice", "Transpose", "DepthToSpace", "DepthToSpace", "Resize"}, 100);
}

TEST(IntegerEngine, GatesOfSqueezeAndExcitation) {
  QuantizedNetwork n;
  const ValueId x = n.pair(n.layer(n.pair(n.input("x", {2, 8, 9, 7}), 0.03f), 8, 24, 1), 0.04f);
  ValueId gate = n.pair(n.node("GlobalAveragePool", {x}), 0.02f);
  gate = n.pair(n.node("Relu", {n.layer(gate, 24, 8, 1)}), 0.01f, 0);
  gate = n.pair(n.node("HardSigmoid", {n.layer(gate, 8, 24, 1)}), 1.0f / 255, 0);
  const ValueId y = n.pair(n.node("Mul", {gate, x}), 0.02f);
  const ValueId spatial = n.pair(n.node("Sigmoid", {n.layer(y, 24, 1, 3)}), 1.0f / 255, 0);
  check(n.finish(n.pair(n.node("Add", {n.pair(n.node("Mul", {y, spatial}), 0.02f), gate}), 0.03f)),
        {"Conv", "GlobalAveragePool", "Conv+Relu", "Conv+HardSigmoid", "Mul", "Conv+Sigmoid", "Mul", "Add"}, 30);
}

TEST(IntegerEngine, LinearInterpolation) {
  for (const char* mode : {"half_pixel", "align_corners", "asymmetric"}) {
    QuantizedNetwork n;
    const ValueId x = n.pair(n.input("x", {2, 5, 4, 7}), 0.03f);
    const ValueId y = n.node("Resize", {x, kNone, kNone, n.integers({2, 5, 11, 13})}, {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string(mode)}});
    check(n.finish(n.pair(n.node("Relu", {y}), 0.02f, 100)), {"Resize+Relu"}, 35);
  }
}

TEST(IntegerEngine, PoolsBetweenQuantizations) {
  QuantizedNetwork n;
  const ValueId x = n.swish(n.layer(n.pair(n.input("x", kImage), 0.03f), 8, 16, 1));
  std::vector<ValueId> parts{x};
  for (int64_t k : {3, 5}) parts.push_back(n.node("MaxPool", {x}, {{"kernel_shape", std::vector<int64_t>{k, k}}, {"pads", std::vector<int64_t>(4, k / 2)}, {"strides", std::vector<int64_t>{1, 1}}}));
  const ValueId y = n.pair(n.node("Concat", parts, {{"axis", int64_t(1)}}), 0.03f, 20);
  check(n.finish(n.pair(n.layer(y, 48, 16, 1), 0.05f)), {"Conv+Swish", "MaxPool", "MaxPool", "Concat", "Concat", "Concat", "Conv"});
}

TEST(IntegerEngine, LinearLayersTakeUpBiasAndGelu) {
  QuantizedNetwork n;
  const ValueId x = n.pair(n.input("x", {2, 9, 24}), 0.03f);
  ValueId y = n.node("Add", {n.constant({40}, 0.2f), n.node("MatMul", {x, n.weight({24, 40}, 0.005f, 1)})});
  y = n.node("Mul", {n.node("Mul", {y, n.graph.add_constant("half", Array::scalar<float>(0.5f))}),
                     n.node("Add", {n.node("Erf", {n.node("Div", {y, n.graph.add_constant("root", Array::scalar<float>(1.41421356f))})}), n.graph.add_constant("one", Array::scalar<float>(1.f))})});
  y = n.node("MatMul", {n.pair(y, 0.02f, 20), n.weight({40, 24}, 0.005f, 1)});
  check(n.finish(n.pair(n.node("Add", {y, n.constant({24}, 0.2f)}), 0.03f)), {"MatMul+Add+Gelu", "MatMul+Add"}, 35);
}

int count_sparse(const Graph& graph, const Dims& dims, bool tune = false) {
  SessionOptions options;
  options.use_cache = false;
  options.tune = tune;
  int count = 0;
  for (const LayerReport& layer : Session(graph, {dims}, options).layers()) {
    count += layer.implementation.starts_with("sparse int8");
    if (tune && layer.op.starts_with("Conv")) {
      EXPECT_NE(layer.note.find("% of the weights are zero: dense"), std::string::npos) << layer.note;
    }
  }
  return count;
}

void check_dynamic_layers(int64_t inputs, int64_t middle, double zeros) {
  testing::Network n(3);
  QuantizedNetwork weights;
  weights.zeros = zeros;
  const ValueId x = n.input("x", {2, 9, inputs});
  auto linear = [&](ValueId v, int64_t in, int64_t out) {
    const std::string name = "d" + std::to_string(n.graph.nodes.size());
    const ValueId q = n.graph.add_value(name, Type::u8), s = n.graph.add_value(name + "_s", Type::f32), z = n.graph.add_value(name + "_z", Type::u8), d = n.graph.add_value(name + "_d", Type::f32);
    n.graph.add_node("DynamicQuantizeLinear", {v}, {q, s, z}).name = name;
    n.graph.add_node("DequantizeLinear", {q, s, z}, {d}).name = name + "_d";
    const ValueId w = weights.weight({in, out}, 0.01f, 1);
    return n.node("MatMul", {d, n.graph.add_constant("w" + name, Tensor(*weights.graph.constant(w)))});
  };
  const Graph graph = n.finish(linear(n.node("Relu", {linear(x, inputs, middle)}), middle, 71));
  check(graph, {"DynamicQuantizeLinear", "MatMul+Relu", "DynamicQuantizeLinear", "MatMul"}, 60);
  EXPECT_EQ(count_sparse(graph, {2, 9, inputs}), zeros > 0 ? 2 : 0);
  // A scale is found anew in every run, also for inputs without any range.
  SessionOptions options;
  options.use_cache = options.tune = false;
  Session session(graph, {{2, 9, inputs}}, options);
  for (float scale : {1.f, 1e-6f, 0.f, 300.f}) {
    const Array input = testing::random_array({2, 9, inputs}, 5, scale);
    EXPECT_LT(testing::relative_error(session.run({input})[0], run_reference(graph, {input})[0]), 1e-4) << scale;
  }
}

TEST(IntegerEngine, LinearLayersWithScalesOfTheirInput) {
  check_dynamic_layers(24, 40, 0);
  check_dynamic_layers(320, 200, 0.95);
}

TEST(IntegerEngine, PrunedLayersLeaveOutZeros) {
  for (Type type : {Type::u8, Type::i8}) {
    const Dims image{2, 40, 9, 11};
    const auto network = [&](double zeros) {
      QuantizedNetwork n(type);
      n.zeros = zeros;
      ValueId x = n.pair(n.input("x", image), 0.03f);
      x = n.pair(n.node("Relu", {n.layer(x, 40, 130, 3)}), 0.02f);
      const ValueId y = n.pair(n.swish(n.layer(x, 130, 130, 1)), 0.02f, 40);
      x = n.pair(n.node("Add", {n.layer(y, 130, 130, 3), x}), 0.03f);
      return n.finish(n.pair(n.layer(x, 130, 70, 3, 2), 0.02f));
    };
    const Graph pruned = network(0.93);
    check(pruned, {"Conv+Relu", "Conv+Swish", "Conv+Add", "Conv"}, 35);
    EXPECT_EQ(count_sparse(pruned, image), 4);
    EXPECT_EQ(count_sparse(network(0), image), 0);
    if (type == Type::u8) count_sparse(pruned, image, true);
  }
}

// 3x3 layers by the definition and by Winograd's transforms: what was remembered is changed to each of them in turn.
TEST(IntegerEngine, FewerMultiplicationsGiveTheSameBits) {
  for (Type type : {Type::u8, Type::i8}) {
    const testing::TemporaryFolder folder;
    setenv("PARE_CACHE", folder.path().c_str(), 1);
    QuantizedNetwork n(type);
    const Dims image{2, 16, 11, 14};
    ValueId x = n.pair(n.input("x", image), 0.03f);
    x = n.pair(n.node("Relu", {n.layer(x, 16, 32, 3)}), 0.02f);
    x = n.pair(n.node("Add", {n.layer(x, 32, 32, 3, 1, 2), x}), 0.03f);
    n.graph.outputs = {n.pair(n.swish(n.layer(x, 32, 19, 3)), 0.02f, 40), n.layer(x, 32, 16, 3)};
    infer_shapes(n.graph);
    const Array input = testing::random_array(image, 3);
    SessionOptions options;
    Session(n.graph, {image}, options);
    std::optional<std::vector<Array>> first;
    for (const int choice : {0, 1}) {
      EXPECT_GE(testing::remember(folder.path(), [](const std::string& line) { return line.starts_with("int8 layer int8_winograd"); }, choice), 4);
      Session session(n.graph, {image}, options);
      int fewer = 0;
      for (const LayerReport& layer : session.layers()) fewer += layer.implementation.starts_with("int8 winograd");
      EXPECT_EQ(fewer, choice == 1 ? 4 : 0);
      const std::vector<Array> found = session.run({input});
      if (!first) first = found;
      for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].same_as((*first)[i])) << i;
    }
    unsetenv("PARE_CACHE");
  }
}

// In phases: weights only move, the function behind goes in front of what interleaves them, and bytes are interleaved.
TEST(IntegerEngine, TransposedConvolutions) {
  for (const auto& [kernel, stride, pad] : {std::array<int64_t, 3>{4, 2, 1}, {2, 2, 0}, {3, 1, 1}, {3, 3, 0}}) {
    QuantizedNetwork n;
    const auto up = [&](ValueId x, int64_t in, int64_t out) {
      return n.node("ConvTranspose", {x, n.weight({in, out, kernel, kernel}, 0.02f / std::sqrt(float(in * kernel)), 1), n.constant({out}, 0.1f)},
                    {{"strides", std::vector<int64_t>(2, stride)}, {"pads", std::vector<int64_t>(4, pad)}});
    };
    ValueId x = n.pair(n.input("x", {2, 16, 5, 7}), 0.03f);
    x = n.pair(n.node("Relu", {up(x, 16, 20)}), 0.02f, 10);
    const Graph graph = n.finish(n.pair(n.node("LeakyRelu", {up(x, 20, 9)}), 0.02f));
    if (stride == 1) check(graph, {"Conv+Relu", "Conv+LeakyRelu"}, 35);
    else check(graph, {"Conv+Relu", "DepthToSpace", "Conv+LeakyRelu", "DepthToSpace"}, 35);
  }
}

TEST(IntegerEngine, PrunedLinearLayers) {
  QuantizedNetwork n;
  n.zeros = 0.9;
  ValueId x = n.pair(n.input("x", {1, 30, 192}), 0.03f);
  x = n.pair(n.node("Gelu", {n.node("Add", {n.node("MatMul", {x, n.weight({192, 384}, 0.005f, 1)}), n.constant({384}, 0.2f)})}), 0.02f, 20);
  const Graph graph = n.finish(n.pair(n.node("MatMul", {x, n.weight({384, 96}, 0.005f, 1)}), 0.03f));
  check(graph, {"MatMul+Add+Gelu", "MatMul"}, 35);
  EXPECT_EQ(count_sparse(graph, {1, 30, 192}), 2);
}

}  // namespace
}  // namespace pare
