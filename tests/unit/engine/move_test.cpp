// Joined, split, moved and attended values: the plan against the reference, on shapes that fill blocks and on those that
// do not.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/plan.h"
#include "codecs/codecs.h"
#include "kernels/float_few_outputs/float_few_outputs.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::relative_error;

std::vector<LayerReport> expect_like_reference(const Graph& graph, const std::vector<Dims>& dims) {
  const std::vector<Array> inputs = random_inputs(graph, dims, 3);
  const std::vector<Array> exact = run_reference(graph, inputs);
  std::vector<LayerReport> layers;
  for (bool tune : {false, true})
    for (int threads : {1, 2}) {
      SessionOptions options;
      options.threads = threads;
      options.use_cache = false;
      options.tune = tune;
      Session session(graph, dims, options);
      for (int repeat = 0; repeat < 2; ++repeat) {
        const std::vector<Array> fast = session.run(inputs);
        for (size_t i = 0; i < fast.size(); ++i) EXPECT_LT(relative_error(fast[i], exact[i]), 2e-5) << "output " << i << " threads " << threads;
      }
      if (!tune && threads == 1) layers = session.layers();
    }
  return layers;
}

int count(const std::vector<LayerReport>& layers, const std::string& implementation) {
  return int(std::count_if(layers.begin(), layers.end(), [&](const LayerReport& layer) { return layer.implementation == implementation; }));
}

// Two branches joined, joined again with their source, one branch read twice more and summed.
Graph joined_network(int64_t channels, int64_t batch) {
  testing::Network n;
  const ValueId x = n.input("x", {batch, 3, 9, 11});
  const ValueId a = n.node("Relu", {n.conv(x, 3, channels, 3, 1)}), b = n.node("Relu", {n.conv(a, channels, channels, 3, 1)});
  const ValueId inner = n.node("Concat", {a, b}, {{"axis", int64_t(1)}});
  const ValueId c = n.node("Relu", {n.conv(inner, 2 * channels, channels, 1, 1)});
  const ValueId sum = n.node("Add", {n.conv(c, channels, channels, 3, 1), b});
  const ValueId outer = n.node("Concat", {inner, sum, c, a}, {{"axis", int64_t(1)}});
  const ValueId last = n.conv(outer, 5 * channels, channels, 1, 1);
  return n.finish(n.node("Add", {last, b}));
}

TEST(Move, ConcatNeedsNoCopyWhereChannelsFillBlocks) {
  const auto layers = expect_like_reference(joined_network(16, 1), {{1, 3, 9, 11}});
  EXPECT_EQ(count(layers, "in place"), 1);       // inner; a lies there and is copied to the outer one
  EXPECT_EQ(count(layers, "strided copy"), 1);
  expect_like_reference(joined_network(16, 2), {{2, 3, 9, 11}});
  expect_like_reference(joined_network(10, 1), {{1, 3, 9, 11}});
}

TEST(Move, SplitChannelsAndJoinThem) {
  for (int64_t channels : {32, 24}) {
    testing::Network n;
    const ValueId x = n.node("Relu", {n.conv(n.input("x", {1, 3, 8, 8}), 3, channels, 3, 1)});
    const ValueId left = n.graph.add_value("left", Type::f32), right = n.graph.add_value("right", Type::f32);
    n.graph.add_node("Split", {x, n.graph.add_constant("sizes", Array::of<int64_t>({2}, {channels / 2, channels / 2}))}, {left, right}).attributes["axis"] = int64_t(1);
    const ValueId more = n.node("Add", {n.conv(right, channels / 2, channels / 2, 3, 1), right});
    const ValueId joined = n.node("Concat", {left, right, more}, {{"axis", int64_t(1)}});
    expect_like_reference(n.finish(n.conv(joined, channels / 2 * 3, 8, 1, 1)), {{1, 3, 8, 8}});
  }
}

TEST(Move, EveryOperatorThatMoves) {
  const auto ints = [](testing::Network& n, const char* name, std::vector<int64_t> values) {
    return n.graph.add_constant(name, Array::of<int64_t>({int64_t(values.size())}, values));
  };
  for (int64_t channels : {16, 12, 48})
    for (int which = 0; which < 9; ++which) {
      testing::Network n;
      ValueId v = n.node("Relu", {n.conv(n.input("x", {1, 3, 6, 10}), 3, channels, 3, 1)});
      switch (which) {
        case 0: v = n.node("Transpose", {v}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}); break;
        case 1: v = n.node("Slice", {v, ints(n, "s", {1, 9}), ints(n, "e", {6, -11}), ints(n, "a", {2, 3}), ints(n, "t", {2, -3})}); break;
        case 2: v = n.node("DepthToSpace", {v}, {{"blocksize", int64_t(2)}, {"mode", std::string("CRD")}}); break;
        case 3: v = n.node("DepthToSpace", {v}, {{"blocksize", int64_t(2)}}); break;
        case 4: v = n.node("Tile", {v, ints(n, "r", {1, 2, 1, 3})}); break;
        case 5: v = n.node("Pad", {v, ints(n, "p", {0, 0, 1, 2, 0, 16, 3, 0}), n.graph.add_constant("f", Array::scalar(0.5f))}); break;
        case 6: v = n.node("Gather", {v, n.graph.add_constant("i", Array::scalar(int64_t(-2)))}, {{"axis", int64_t(2)}}); break;
        case 7: v = n.node("Expand", {n.node("GlobalAveragePool", {v}), ints(n, "to", {1, channels, 4, 5})}); break;
        case 8: {
          const ValueId scales = n.graph.add_constant("scales", Array::of<float>({4}, {1, 1, 2, 3}));
          v = n.node("Resize", {v, kNone, scales}, {{"mode", std::string("nearest")}, {"coordinate_transformation_mode", std::string("asymmetric")}, {"nearest_mode", std::string("floor")}});
          break;
        }
      }
      const auto layers = expect_like_reference(n.finish(n.node("Relu", {v})), {{1, 3, 6, 10}});
      EXPECT_EQ(count(layers, "reference"), 0) << "operator " << which << ", channels " << channels;
    }
}

TEST(Move, AnInputIsNeverWrittenTo) {
  testing::Network n;
  const ValueId x = n.input("x", {1, 32, 4, 4});
  const ValueId part = n.node("Slice", {x, n.graph.add_constant("s", Array::of<int64_t>({1}, {16})), n.graph.add_constant("e", Array::of<int64_t>({1}, {32})), n.graph.add_constant("a", Array::of<int64_t>({1}, {1}))});
  expect_like_reference(n.finish(n.node("Add", {n.conv(part, 16, 16, 3, 1), part})), {{1, 32, 4, 4}});
}

// Self-attention as exporters write it, in front of a residual sum and a layer norm.
TEST(Attention, AgreesWithTheReference) {
  for (int64_t mask_rows : {int64_t(0), int64_t(1), int64_t(130)})
    for (int64_t tokens : {1, 7, 130}) {
      testing::Network n;
      const int64_t heads = 3, width = 8, model = heads * width;
      const ValueId x = n.input("x", {2, tokens, model});
      const auto project = [&](std::vector<int64_t> perm) {
        const ValueId linear = n.node("Add", {n.constant({model}), n.node("MatMul", {x, n.constant({model, model}, 0.2f)})});
        const ValueId shape = n.graph.add_constant(n.graph.unique_name("shape"), Array::of<int64_t>({4}, {2, tokens, heads, width}));
        return n.node("Transpose", {n.node("Reshape", {linear, shape})}, {{"perm", perm}});
      };
      const ValueId q = project({0, 2, 1, 3}), k = project({0, 2, 3, 1}), v = project({0, 2, 1, 3});
      ValueId scores = n.node("Div", {n.node("MatMul", {q, k}), n.graph.add_constant("root", Array::scalar(2.83f))});
      if (mask_rows > 0) scores = n.node("Add", {scores, n.input("mask", {2, 1, std::min(mask_rows, tokens), tokens})});
      const ValueId mixed = n.node("Transpose", {n.node("MatMul", {n.node("Softmax", {scores}, {{"axis", int64_t(-1)}}), v})}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
      const ValueId flat = n.node("Reshape", {mixed, n.graph.add_constant("flat", Array::of<int64_t>({3}, {2, tokens, model}))});
      const ValueId out = n.node("Add", {x, n.node("Add", {n.node("MatMul", {flat, n.constant({model, model}, 0.2f)}), n.constant({model})})});
      std::vector<Dims> dims{{2, tokens, model}};
      if (mask_rows > 0) dims.push_back({2, 1, std::min(mask_rows, tokens), tokens});
      const auto layers = expect_like_reference(n.finish(out), dims);
      EXPECT_EQ(std::count_if(layers.begin(), layers.end(), [](const LayerReport& l) { return l.op == "Attention"; }), 1);
      EXPECT_EQ(std::count_if(layers.begin(), layers.end(), [](const LayerReport& l) { return l.op == "Transpose"; }), 0);
    }
}

// As quantize-static leaves it: the linear layer behind attention reads 8-bit values, and the sum behind it is read by a norm alone.
TEST(Attention, IsQuantizedBehindItsTranspose) {
  testing::Network n;
  const int64_t tokens = 20, heads = 3, width = 8, model = heads * width;
  const auto turned = [&](const char* name) { return n.node("Transpose", {n.input(name, {2, tokens, heads, width})}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}); };
  const ValueId q = turned("q"), k = turned("k"), v = turned("v"), x = n.input("x", {2, tokens, model});
  n.graph.opsets[""] = 24;
  const ValueId mixed = n.node("Transpose", {n.node("Attention", {q, k, v})}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  const ValueId flat = n.node("Reshape", {mixed, n.graph.add_constant("flat", Array::of<int64_t>({3}, {2, tokens, model}))});
  const ValueId scale = n.graph.add_constant("scale", Array::scalar(0.02f)), zero = n.graph.add_constant("zero", Array::of<uint8_t>({}, {128}));
  const ValueId bytes = n.graph.add_value("bytes", Type::u8), back = n.graph.add_value("back", Type::f32);
  n.graph.add_node("QuantizeLinear", {flat, scale, zero}, {bytes});
  n.graph.add_node("DequantizeLinear", {bytes, scale, zero}, {back});
  const ValueId sum = n.node("Add", {x, n.node("Relu", {back})});
  const Graph graph = n.finish(n.node("LayerNormalization", {sum, n.constant({model}), n.constant({model})}));
  const std::vector<Array> inputs = random_inputs(graph, {{2, tokens, heads, width}, {2, tokens, heads, width}, {2, tokens, heads, width}, {2, tokens, model}}, 3);
  const Array exact = run_reference(graph, inputs)[0];
  for (const int threads : {1, 2}) {
    SessionOptions options;
    options.threads = threads;
    Session session(graph, {}, options);
    EXPECT_LT(relative_error(session.run(inputs)[0], exact), 2e-3);  // a value may fall on the other side of a step
    const auto layers = session.layers();
    const auto ops = [&](const std::string& op) { return std::count_if(layers.begin(), layers.end(), [&](const LayerReport& l) { return l.op == op; }); };
    EXPECT_EQ(ops("Transpose") + ops("Reorder"), 0);
    EXPECT_EQ(ops("Add+LayerNormalization"), 1);
    EXPECT_EQ(ops("Add"), 0);
  }
}

// A sum that others read too, and one whose terms are repeated, is made by itself.
TEST(Norm, OfSumsThatAreMadeAllTheSame) {
  for (const bool repeated : {false, true}) {
    testing::Network n;
    const ValueId x = n.input("x", {2, 5, 33}), y = n.input("y", {2, repeated ? 1 : 5, 33}), sum = n.node("Add", {x, y});
    const ValueId norm = n.node("LayerNormalization", {sum, n.constant({33}), n.constant({33})});
    const auto layers = expect_like_reference(n.finish(repeated ? norm : n.node("Mul", {norm, sum})), {{2, 5, 33}, {2, repeated ? 1 : 5, 33}});
    EXPECT_EQ(std::count_if(layers.begin(), layers.end(), [](const LayerReport& l) { return l.op == "Add+LayerNormalization"; }), 0);
  }
}

// What a deferred sum still has to read no layer in between may overwrite, nor a Concat's result while its parts are read.
TEST(Norm, TermsOfASumAreKeptUntilItsNorm) {
  testing::Network n;
  const ValueId a = n.input("a", {1, 16, 12, 16}), x = n.conv(a, 16, 16, 3, 1);
  const ValueId y = n.node("MaxPool", {a}, {{"kernel_shape", std::vector<int64_t>{1, 1}}});
  const ValueId sum = n.node("Add", {x, y}), joined = n.node("Add", {n.conv(a, 16, 16, 1, 1), x});
  const ValueId norm = n.node("LayerNormalization", {sum, n.constant({16}), n.constant({16})}, {{"axis", int64_t(-1)}});
  expect_like_reference(n.finish(n.node("Mul", {norm, n.node("Relu", {joined})})), {{1, 16, 12, 16}});
}

TEST(Move, APartOfAConcatIsReadBehindASumWithIt) {
  testing::Network n;
  const ValueId a = n.input("a", {1, 16, 12, 16}), x = n.node("Relu", {n.conv(a, 16, 16, 3, 1)}), y = n.node("Relu", {n.conv(a, 16, 16, 1, 1)});
  const ValueId whole = n.node("Concat", {x, y}, {{"axis", int64_t(1)}});
  const ValueId sum = n.node("Add", {n.conv(a, 16, 32, 1, 1), whole}), later = n.conv(x, 16, 32, 1, 1);
  expect_like_reference(n.finish(n.node("Mul", {sum, later})), {{1, 16, 12, 16}});
}

// Masks that only the reference takes: shorter than the keys (opset 24 fills them up with −∞). What feeds such a node is made.
TEST(Attention, AMaskOfAnotherShapeIsTheReferences) {
  for (int64_t length : {5, 7}) {
    testing::Network n;
    const auto turned = [&](const char* name) { return n.node("Transpose", {n.input(name, {1, 7, 2, 8})}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}); };
    const ValueId q = turned("q"), k = turned("k"), v = turned("v"), mask = n.input("mask", {1, 1, 7, length});
    n.graph.opsets[""] = 24;
    const auto layers = expect_like_reference(n.finish(n.node("Attention", {q, k, v, mask})), {{1, 7, 2, 8}, {1, 7, 2, 8}, {1, 7, 2, 8}, {1, 1, 7, length}});
    EXPECT_EQ(count(layers, "reference"), length == 7 ? 0 : 1);
  }
}

TEST(Sum, OverAnyAxesSideBySide) {
  for (const char* op : {"ReduceSum", "ReduceMean"})
    for (std::vector<int64_t> axes : {std::vector<int64_t>{-1}, {1}, {0, 1}, {1, 2}, {0, 1, 2}, {0, 2}}) {
      testing::Network n;
      const ValueId x = n.input("x", {5, 7, 33});
      const ValueId by = n.graph.add_constant("axes", Array::of<int64_t>({int64_t(axes.size())}, axes));
      expect_like_reference(n.finish(n.node(op, {x, by}, {{"keepdims", int64_t(0)}})), {{5, 7, 33}});
    }
}

// A sum whose residual is needed again, in front of an activation with a slope: every way a convolution can be joined.
TEST(Conv, JoinedSumsAgreeWithTheReference) {
  for (int64_t channels : {16, 50})
    for (bool before : {false, true}) {
      testing::Network n;
      const ValueId a = n.node("Relu", {n.conv(n.input("x", {1, 3, 20, 20}), 3, channels, 3, 1)});
      ValueId b = n.conv(a, channels, channels, 3, 1);
      if (before) b = n.node("Mul", {b, n.node("Sigmoid", {b})});
      const ValueId sum = n.node("LeakyRelu", {n.node("Add", {b, a})}, {{"alpha", 0.05f}});
      const ValueId joined = n.node("Concat", {sum, a}, {{"axis", int64_t(1)}});
      expect_like_reference(n.finish(n.conv(joined, 2 * channels, 8, 1, 1)), {{1, 3, 20, 20}});
    }
}

// The end of networks that make pictures: pixels out of channels, then a convolution to three colours and one behind it.
TEST(Conv, FewOutputsAgreeWithTheReference) {
  for (const auto& [channels, batch] : {std::pair<int64_t, int64_t>{32, 1}, {36, 2}}) {
    testing::Network n;
    const ValueId a = n.node("Relu", {n.conv(n.input("x", {batch, 3, 9, 21}), 3, 4 * channels, 3, 1)});
    const ValueId b = n.node("DepthToSpace", {a}, {{"blocksize", int64_t(2)}, {"mode", std::string("CRD")}});
    const ValueId colours = n.clip(n.conv(b, channels, 3, 3, 1), -0.5f, 0.75f), mask = n.conv(b, channels, 1, 5, 2);
    const ValueId mean = n.node("GlobalAveragePool", {mask});
    const auto layers = expect_like_reference(n.finish(n.node("Add", {n.conv(colours, 3, 3, 1, 1), mean})), {{batch, 3, 9, 21}});
    int own = 0;
    for (const LayerReport& layer : layers) own += layer.implementation.starts_with("float_few_outputs");
    const int lanes = best_few_outputs_kernel(32)->lanes;
    EXPECT_EQ(own, lanes >= 8 && lanes == channel_block() ? 2 : 0);
  }
}

// The same of layers in bfloat16, where the CPU has its products; a stride of 2 is left to oneDNN.
TEST(Conv, FewOutputsInBfloat16) {
  const FewOutputsKernel* kernel = best_few_outputs_kernel(16);
  if (kernel == nullptr || kernel->lanes != channel_block()) GTEST_SKIP() << "without products of bfloat16 there is no such kernel";
  testing::Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("x", {2, 3, 9, 21}), 3, 32, 3, 1)});
  Graph graph = n.finish(n.node("Add", {n.conv(x, 32, 3, 3, 1), n.node("GlobalAveragePool", {n.conv(x, 32, 3, 5, 2)})}));
  for (Value& value : graph.values)
    if (value.constant && value.constant->dims.size() == 4) value.constant = std::make_shared<const Tensor>(codec_bfloat16.encode(value.constant->array(), 0, 0));
  const Array input = testing::random_array({2, 3, 9, 21}, 8);
  SessionOptions options;
  options.tune = false;   // channels lie in blocks
  Session session(graph, {input.dims()}, options);
  EXPECT_GT(testing::sqnr_db(session.run({input})[0], run_reference(graph, {input})[0]), 40);
  int own = 0;
  for (const LayerReport& layer : session.layers()) own += layer.implementation == kernel->name;
  EXPECT_EQ(own, 1);
}

// Pixels folded into channels by slices (as YOLOX does) or by SpaceToDepth, in front of a convolution.
TEST(Focus, OneConvolutionOfThePixels) {
  for (bool slices : {true, false})
    for (int64_t stride : {1, 2}) {
      testing::Network n;
      const ValueId x = n.input("x", {1, 3, 16, 20});
      ValueId folded;
      if (slices) {
        std::vector<ValueId> parts;
        for (int64_t place : {0, 2, 1, 3}) {
          const auto cut = [&](ValueId v, int64_t start, int64_t axis) {
            const auto one = [&](int64_t value) { return n.graph.add_constant(n.graph.unique_name("c"), Array::of<int64_t>({1}, {value})); };
            return n.node("Slice", {v, one(start), one(INT64_MAX), one(axis), one(2)});
          };
          parts.push_back(cut(cut(x, place / 2, 2), place % 2, 3));
        }
        folded = n.node("Concat", parts, {{"axis", int64_t(1)}});
      } else {
        folded = n.node("SpaceToDepth", {x}, {{"blocksize", int64_t(2)}});
      }
      const auto layers = expect_like_reference(n.finish(n.node("Relu", {n.conv(folded, 12, 16, 3, stride)})), {{1, 3, 16, 20}});
      EXPECT_EQ(std::count_if(layers.begin(), layers.end(), [](const LayerReport& l) { return l.op.starts_with("Conv"); }), 1);
      EXPECT_EQ(std::count_if(layers.begin(), layers.end(), [](const LayerReport& l) { return l.op == "Concat" || l.op == "Slice" || l.op == "SpaceToDepth"; }), 0);
    }
}

TEST(GatherRows, IndexOutsideOfTheTable) {
  testing::Network n;
  const ValueId table = n.constant({5, 3});
  const ValueId ids = n.graph.add_value("ids", Type::i64, shape_of({1, 2}));
  n.graph.inputs.push_back(ids);
  const Graph graph = n.finish(n.node("Gather", {table, ids}));
  Session session(graph, {{1, 2}});
  const Array last = session.run({Array::of<int64_t>({1, 2}, {-1, 4})})[0];
  EXPECT_EQ(last.values<float>()[0], last.values<float>()[3]);
  EXPECT_THROW(session.run({Array::of<int64_t>({1, 2}, {0, 5})}), Error);
}

}  // namespace
}  // namespace pare
