// Cutting coupled channels. The property that all rests on: where every constant's slices of a group are zero, the graph
// computes the same with the group cut.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine.h"
#include "passes/channel_cuts.h"
#include "passes/pass.h"
#include "support/networks.h"

namespace pare {
namespace {

using testing::Network;
using testing::random_array;
using Ints = std::vector<int64_t>;

// Zeroes the slices of all groups that `plan` has cut.
Graph with_zeros(const Graph& graph, const ChannelPlan& plan) {
  Graph zeroed = graph;
  for (const auto& [place, indices] : plan.cuts()) {
    if (graph.constant(place.first) == nullptr) continue;
    Array array = zeroed.constant(place.first)->array();
    int64_t inner = 1;
    for (int i = place.second + 1; i < array.rank(); ++i) inner *= array.dim(i);
    const int64_t extent = array.dim(place.second);
    auto values = array.mutable_values<float>();
    for (size_t k = 0; k < values.size(); ++k)
      if (std::binary_search(indices.begin(), indices.end(), int64_t(k) / inner % extent)) values[k] = 0;
    zeroed.at(place.first).constant = std::make_shared<const Tensor>(array);
  }
  return zeroed;
}

struct Tried {
  size_t groups = 0, cut = 0;
};

// Cuts random groups and compares; returns how many there were and went.
Tried check(const Graph& graph, double share, uint64_t seed, const std::vector<Array>& given = {}) {
  const std::vector<Dims> dims = default_input_dims(graph, 1);
  const std::vector<Array> inputs = given.empty() ? random_inputs(graph, dims, 3) : given;
  Tried tried;
  with_plan(graph, dims, {}, [&](ChannelPlan& plan) {
    Random random(seed);
    tried.groups = plan.groups().size();
    const int64_t macs = plan.macs();
    for (size_t g = 0; g < plan.groups().size(); ++g)
      if (random.uniform() < share && plan.can_cut(int(g))) plan.cut(int(g)), ++tried.cut;
    const Graph zeroed = with_zeros(graph, plan);
    Graph small = graph;
    cut_slices(small, plan.cuts(), plan.coupling(), dims);
    small.remove_unused();
    verify(small);
    infer_shapes(small);
    const std::vector<Array> want = run_reference(zeroed, inputs), got = run_reference(small, inputs);
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_LT(testing::relative_error(got[i], want[i]), 1e-5) << "output " << i;
    Graph concrete = small;
    infer_shapes(concrete, dims);
    EXPECT_EQ(count_macs(concrete), plan.macs());  // what was foreseen
    EXPECT_TRUE(tried.cut == 0 || plan.macs() < macs);
  });
  return tried;
}

// Several cuts; `groups`: how many sets of channels the graph has.
void check_all(const Graph& graph, size_t groups) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Tried tried = check(graph, 0.15 * double(seed), seed);
    EXPECT_EQ(tried.groups, groups);
    EXPECT_TRUE(seed < 4 || groups < 2 || tried.cut > 0);
  }
}

TEST(PruneChannels, ResidualSums) { check_all(testing::residual_network(), 16 + 16 + 24 + 24); }
TEST(PruneChannels, BatchNorms) { check_all(testing::residual_network(1, true), 16 + 16 + 24 + 24); }
TEST(PruneChannels, Depthwise) { check_all(testing::mobile_network(), 12 + 35 + 10 + 5); }  // 40 channels in 4 groups: 10; their 20 outputs: 5

TEST(PruneChannels, SqueezeExcite) {
  Network n;
  ValueId x = n.node("HardSwish", {n.conv(n.input("image", {1, 3, 12, 12}), 3, 16, 3, 1)});
  ValueId gate = n.conv(n.node("GlobalAveragePool", {x}), 16, 6, 1, 1);
  gate = n.node("HardSigmoid", {n.conv(n.node("Relu", {gate}), 6, 16, 1, 1)});
  x = n.conv(n.node("Mul", {x, gate}), 16, 9, 1, 1);
  n.graph.opsets[""] = 14;
  check_all(n.finish(n.conv(x, 9, 4, 1, 1)), 16 + 6 + 9);
}

TEST(PruneChannels, ShuffleOfHalves) {
  Network n;
  n.graph.opsets[""] = 18;
  ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 8, 8}), 3, 16, 3, 1)});
  for (int block = 0; block < 2; ++block) {
    const ValueId left = n.graph.add_value("left" + std::to_string(block), Type::f32), right = n.graph.add_value("right" + std::to_string(block), Type::f32);
    n.graph.add_node("Split", {x}, {left, right}).attributes = {{"axis", int64_t(1)}, {"num_outputs", int64_t(2)}};
    ValueId y = n.node("Relu", {n.conv(right, 8, 8, 1, 1)});
    y = n.conv(n.conv(y, 8, 8, 3, 1, 8), 8, 8, 1, 1);
    x = n.node("Concat", {left, y}, {{"axis", int64_t(1)}});
    x = n.node("Reshape", {x, n.graph.add_constant("to" + std::to_string(block), Array::of<int64_t>({5}, {1, 2, 8, 8, 8}))});
    x = n.node("Transpose", {x}, {{"perm", Ints{0, 2, 1, 3, 4}}});
    x = n.node("Reshape", {x, n.graph.add_constant("back" + std::to_string(block), Array::of<int64_t>({4}, {1, -1, 8, 8}))});
  }
  const Graph graph = n.finish(n.conv(x, 16, 4, 1, 1));
  const Tried tried = check(graph, 0.5, 5);
  EXPECT_GT(tried.groups, 8u);
  EXPECT_GT(tried.cut, 0u);
}

TEST(PruneChannels, GroupedConvolutionsWithShuffle) {
  Network n;
  ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 6, 6}), 3, 24, 1, 1)});
  x = n.conv(x, 24, 12, 1, 1, 3);
  x = n.node("Reshape", {x, n.graph.add_constant("to", Array::of<int64_t>({5}, {0, 3, 4, 6, 6}))});
  x = n.node("Transpose", {x}, {{"perm", Ints{0, 2, 1, 3, 4}}});
  x = n.node("Reshape", {x, n.graph.add_constant("back", Array::of<int64_t>({4}, {0, 12, 6, 6}))});
  x = n.conv(x, 12, 12, 3, 1, 12);
  check_all(n.finish(n.conv(x, 12, 5, 1, 1)), 8 + 4);
}

TEST(PruneChannels, ManyGroupsAreCutWhole) {
  Network n;
  ValueId x = n.conv(n.input("image", {1, 3, 6, 6}), 3, 32, 1, 1);
  x = n.node("Relu", {n.conv(x, 32, 16, 3, 1, 8)});
  check_all(n.finish(n.conv(x, 16, 5, 1, 1)), 8);
}

TEST(PruneChannels, BranchesThatAreJoined) {
  Network n;
  const ValueId x = n.conv(n.input("image", {1, 3, 9, 9}), 3, 8, 3, 1);
  const ValueId pooled = n.node("MaxPool", {x}, {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}});
  ValueId y = n.node("Concat", {n.conv(x, 8, 6, 1, 1), n.conv(x, 8, 7, 3, 1), pooled}, {{"axis", int64_t(-3)}});
  y = n.node("Sigmoid", {n.batch_norm(y, 21)});
  check_all(n.finish(n.conv(y, 21, 4, 1, 1)), 8 + 6 + 7);
}

TEST(PruneChannels, UpAndDown) {
  Network n;
  const ValueId a = n.node("LeakyRelu", {n.conv(n.input("image", {1, 2, 8, 8}), 2, 8, 3, 1)});
  const ValueId b = n.node("Relu", {n.conv(a, 8, 12, 3, 2)});
  const ValueId up = n.node("ConvTranspose", {b, n.constant({12, 6, 2, 2}), n.constant({6})}, {{"strides", Ints{2, 2}}});
  const ValueId wide = n.node("Resize", {n.conv(b, 12, 5, 1, 1), kNone, kNone, n.graph.add_constant("sizes", Array::of<int64_t>({4}, {1, 5, 8, 8}))}, {{"mode", std::string("nearest")}});
  ValueId y = n.node("Concat", {a, up, wide}, {{"axis", int64_t(1)}});
  y = n.conv(y, 19, 12, 3, 1);
  y = n.node("DepthToSpace", {y}, {{"blocksize", int64_t(2)}, {"mode", std::string("CRD")}});
  check_all(n.finish(n.conv(y, 3, 3, 3, 1)), 8 + 12 + 6 + 5 + 3);
}

TEST(PruneChannels, TransposedInGroups) {
  Network n;
  ValueId x = n.conv(n.input("image", {1, 2, 5, 5}), 2, 12, 1, 1);
  x = n.node("ConvTranspose", {x, n.constant({12, 1, 3, 3}), n.constant({12})}, {{"group", int64_t(12)}});
  x = n.node("ConvTranspose", {x, n.constant({12, 5, 1, 1}), n.constant({10})}, {{"group", int64_t(2)}});
  check_all(n.finish(n.conv(x, 10, 2, 1, 1)), 6 + 5);
}

TEST(PruneChannels, SlicesPadsAndPicks) {
  Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("image", {1, 3, 8, 8}), 3, 10, 3, 1)});
  const auto list = [&](const char* name, Ints values) { return n.graph.add_constant(name, Array::of<int64_t>({int64_t(values.size())}, values)); };
  const ValueId half = n.node("Slice", {x, list("from", {0, 3}), list("to", {8, 1 << 30}), list("axes", {2, 1}), list("steps", {2, 1})});
  const ValueId wide = n.node("Pad", {half, list("pads", {0, 2, 0, 0, 0, 3, 0, 0})}, {{"mode", std::string("constant")}});
  const ValueId other = n.node("Gather", {n.conv(x, 10, 12, 3, 2), list("places", {3, 1, 0, 2, -1, 4, 5, 6, 7, 8, 9, 10})}, {{"axis", int64_t(1)}});
  const ValueId rows = n.node("Slice", {other, list("from2", {0}), list("to2", {4}), list("axes2", {2})});
  const ValueId tall = n.node("Slice", {wide, list("from3", {0}), list("to3", {4}), list("axes3", {2})});
  const ValueId more = n.node("Expand", {n.node("Slice", {tall, list("from4", {0}), list("to4", {4}), list("axes4", {3})}), list("shape", {1, 12, 4, 4})});
  const ValueId less = n.node("Slice", {rows, list("from5", {-4}), list("to5", {9}), list("axes5", {-1})});
  const Tried tried = check(n.finish(n.conv(n.node("Add", {more, less}), 12, 3, 1, 1)), 0.4, 9);
  EXPECT_EQ(tried.groups, 10u + 5u);
  EXPECT_GT(tried.cut, 0u);
}

TEST(PruneChannels, Normalizations) {
  Network n;
  n.graph.opsets[""] = 21;
  ValueId x = n.conv(n.input("image", {1, 3, 6, 6}), 3, 12, 3, 1);
  x = n.node("InstanceNormalization", {x, n.constant({12}), n.constant({12})});
  x = n.conv(x, 12, 12, 1, 1);
  x = n.node("GroupNormalization", {x, n.constant({12}), n.constant({12})}, {{"num_groups", int64_t(4)}});
  x = n.conv(x, 12, 16, 1, 1);
  // As exporters spell it before opset 18: normalized as 8 instances of 2 channels each.
  x = n.node("Reshape", {x, n.graph.add_constant("to", Array::of<int64_t>({3}, {0, 8, -1}))});
  x = n.node("InstanceNormalization", {x, n.constant({8}), n.constant({8})});
  x = n.node("Reshape", {x, n.graph.add_constant("back", Array::of<int64_t>({4}, {1, 16, 6, 6}))});
  x = n.node("Add", {n.node("Mul", {x, n.constant({16, 1, 1})}), n.constant({16, 1, 1})});
  check_all(n.finish(n.conv(x, 16, 3, 1, 1)), 12 + 4 + 8);
}

// Channels of a layer normalization belong together; the rest of a transformer layer can be cut.
Graph transformer(const std::string& form) {
  Network n;
  n.graph.opsets[""] = 17;
  const int64_t length = 5, width = 12, heads = 3, size = 4;
  const auto list = [&](const std::string& name, Ints values) { return n.graph.add_constant(name, Array::of<int64_t>({int64_t(values.size())}, values)); };
  const ValueId in = n.input("tokens", {1, length, width});
  const ValueId x = n.node("LayerNormalization", {in, n.constant({width}), n.constant({width})});
  ValueId q, k, v;
  const auto heads_of = [&](ValueId value, const std::string& name, Ints perm) {
    return n.node("Transpose", {n.node("Reshape", {value, list("shape_" + name, {0, 0, heads, size})})}, {{"perm", perm}});
  };
  if (form == "packed") {
    ValueId all = n.node("Add", {n.node("MatMul", {x, n.constant({width, 3 * width}, 0.3f)}), n.constant({3 * width})});
    all = n.node("Transpose", {n.node("Reshape", {all, list("qkv", {1, length, 3, heads, size})})}, {{"perm", Ints{2, 0, 3, 1, 4}}});
    const auto part = [&](int64_t i) { return n.node("Gather", {all, n.graph.add_constant("part", Array::scalar<int64_t>(i))}, {{"axis", int64_t(0)}}); };
    q = part(0), k = n.node("Transpose", {part(1)}, {{"perm", Ints{0, 1, 3, 2}}}), v = part(2);
  } else {
    const auto linear = [&] { return n.node("MatMul", {x, n.constant({width, width}, 0.3f)}); };
    q = heads_of(linear(), "q", {0, 2, 1, 3}), k = heads_of(linear(), "k", {0, 2, 3, 1}), v = heads_of(linear(), "v", {0, 2, 1, 3});
  }
  ValueId y;
  if (form == "einsum") {
    const ValueId scores = n.node("Softmax", {n.node("Einsum", {q, k}, {{"equation", std::string("bhqd,bhdk->bhqk")}})}, {{"axis", int64_t(-1)}});
    y = n.node("Einsum", {scores, v}, {{"equation", std::string("bhqk,bhkd->bqhd")}});
  } else {
    const ValueId scores = n.node("Softmax", {n.node("Div", {n.node("MatMul", {q, k}), n.graph.add_constant("two", Array::scalar(2.f))})}, {{"axis", int64_t(-1)}});
    y = n.node("Transpose", {n.node("MatMul", {scores, v})}, {{"perm", Ints{0, 2, 1, 3}}});
  }
  y = n.node("Reshape", {y, list("joined", {1, length, width})});
  y = n.node("Add", {n.node("MatMul", {y, n.constant({width, width}, 0.3f)}), in});
  const ValueId inside = n.node("Gelu", {n.node("MatMul", {n.node("LayerNormalization", {y, n.constant({width}), n.constant({width})}), n.constant({width, 20}, 0.3f)})});
  n.graph.opsets[""] = 20;
  return n.finish(n.node("Add", {y, n.node("MatMul", {inside, n.constant({20, width}, 0.3f)})}));
}

TEST(PruneChannels, AttentionHeads) {
  for (const char* form : {"separate", "packed", "einsum"}) {
    SCOPED_TRACE(form);
    check_all(transformer(form), 3 + 20);
  }
}

TEST(PruneChannels, ChannelsLast) {
  Network n;
  ValueId x = n.conv(n.input("image", {1, 3, 4, 4}), 3, 8, 3, 1);
  x = n.node("Transpose", {x}, {{"perm", Ints{0, 2, 3, 1}}});
  x = n.node("Add", {n.node("MatMul", {x, n.constant({8, 10})}), n.constant({10})});
  x = n.node("Reshape", {n.node("Relu", {x}), n.graph.add_constant("flat", Array::of<int64_t>({2}, {1, 160}))});
  x = n.node("Gemm", {x, n.constant({6, 160}, 0.1f), n.constant({6})}, {{"transB", int64_t(1)}});
  x = n.node("Squeeze", {n.node("Unsqueeze", {x, n.graph.add_constant("a", Array::of<int64_t>({1}, {0}))}), n.graph.add_constant("b", Array::of<int64_t>({1}, {0}))});
  check_all(n.finish(n.node("Gemm", {x, n.constant({6, 3})})), 8 + 10 + 6);
}

// The list of extents is put together while the model runs: batch from the input, channels as a constant that two share.
TEST(PruneChannels, ExtentsThatAreComputed) {
  Network n;
  const ValueId in = n.input("image", {1, 3, 4, 4});
  n.graph.at(in).shape = Shape{{-1, "N"}, {3, ""}, {4, ""}, {4, ""}};
  ValueId x = n.conv(in, 3, 8, 3, 1);
  const auto list = [&](const char* name, Ints values) { return n.graph.add_constant(name, Array::of<int64_t>({int64_t(values.size())}, values)); };
  const ValueId batch = n.node("Gather", {n.node("Shape", {x}), list("first", {0})});
  n.graph.at(batch).type = Type::i64;
  const ValueId eight = list("eight", {8});
  const ValueId shape = n.node("Concat", {batch, eight, list("rest", {16})}, {{"axis", int64_t(0)}});
  n.graph.at(shape).type = Type::i64;
  const ValueId flat = n.node("Reshape", {x, shape});
  const ValueId other = n.node("Reshape", {n.conv(in, 3, 8, 1, 1), n.node("Concat", {batch, eight, list("more", {16})}, {{"axis", int64_t(0)}})});
  x = n.node("Concat", {flat, other}, {{"axis", int64_t(1)}});
  x = n.node("Conv", {x, n.constant({4, 16, 1})});
  check_all(n.finish(x), 8 + 8);
}

TEST(PruneChannels, WhatCannotBeCutStaysAndIsNamed) {
  Network n;
  ValueId x = n.conv(n.input("image", {1, 3, 6, 6}), 3, 8, 3, 1);
  x = n.node("LRN", {x}, {{"size", int64_t(3)}});
  x = n.conv(x, 8, 6, 1, 1);
  x = n.node("CumSum", {x, n.graph.add_constant("axis", Array::scalar<int64_t>(3))});
  Graph graph = n.finish(n.conv(x, 6, 4, 1, 1));
  const PipelineResult result = run_recipe(graph, "prune-channels{macs=0.5}", {});
  const std::string notes = fmt::format("{}", fmt::join(result.passes[0].notes, "\n"));
  EXPECT_NE(notes.find("Conv0: node 'LRN1' (LRN): it is normalized over this axis"), std::string::npos) << notes;
  EXPECT_NE(notes.find("Conv2: node 'CumSum3' (CumSum): the operator's channels belong together"), std::string::npos) << notes;
  EXPECT_NE(notes.find("Conv4: it is an output of the model"), std::string::npos) << notes;
  EXPECT_NE(notes.find("more was asked for than can be cut"), std::string::npos) << notes;
  EXPECT_EQ(result.passes[0].changed, 0);
}

TEST(PruneChannels, KeepsWhatItIsAskedFor) {
  for (const char* recipe : {"prune-channels{macs=0.6}", "prune-channels{macs=0.6, score=l1}", "prune-channels{macs=0.6, score=bn}", "prune-channels{macs=0.6, score=median}", "prune-channels{parameters=0.6}"}) {
    SCOPED_TRACE(recipe);
    Graph graph = testing::residual_network(1, true);
    const int64_t macs = count_macs(graph), weights = count_weights(graph).count;
    run_recipe(graph, recipe, {});
    const double share = std::string(recipe).find("macs") != std::string::npos ? double(count_macs(graph)) / double(macs) : double(count_weights(graph).count) / double(weights);
    EXPECT_LE(share, 0.6);
    EXPECT_GT(share, 0.5);
  }
}

TEST(PruneChannels, KeepsMultiplesAndExclusions) {
  Graph graph = testing::residual_network();
  run_recipe(graph, "prune-channels{macs=0.5, multiple=8, exclude=Conv2}", {});
  for (const Node& node : graph.nodes)
    if (node.is("Conv")) {
      EXPECT_EQ(graph.constant(node.inputs[1])->dims[0] % 8, 0) << node.name;
      EXPECT_TRUE(node.name != "Conv2" || graph.constant(node.inputs[1])->dims[0] == 16);
    }
  for (const char* score : {"taylor", "reconstruction"}) EXPECT_THROW(run_recipe(graph, std::string("prune-channels{score=") + score + "}", {}), Error);
}

PipelineInputs calibration(const Dims& dims, int64_t count = 8) {
  PipelineInputs inputs;
  inputs.calibration = {count, [dims](int64_t i) { return std::vector<Array>{random_array(dims, uint64_t(i) + 100)}; }};
  return inputs;
}

// Six of twelve channels are mixtures of the others: cutting them costs nothing once the layer behind is refitted.
Graph redundant_network() {
  Network n;
  const ValueId in = n.input("image", {1, 3, 9, 9});
  Array weight = random_array({12, 3, 3, 3}, 11);
  auto w = weight.mutable_values<float>();
  for (size_t c = 6; c < 12; ++c)
    for (size_t i = 0; i < 27; ++i) w[c * 27 + i] = 1.5f * w[(c - 6) * 27 + i] - 0.7f * w[(c - 5) % 6 * 27 + i];
  const ValueId x = n.node("Conv", {in, n.graph.add_constant("w", Tensor(weight)), n.constant({12})}, {{"pads", Ints{1, 1, 1, 1}}});
  return n.finish(n.node("GlobalAveragePool", {n.node("Relu", {n.conv(x, 12, 8, 3, 1)})}));
}

TEST(PruneChannels, RepairTakesOverWhatRedundantChannelsDid) {
  const Graph original = redundant_network();
  const std::vector<Array> inputs{random_array({1, 3, 9, 9}, 5)};
  const Array want = run_reference(original, inputs)[0];
  Graph repaired = original, plain = original;
  run_recipe(repaired, "prune-channels{macs=0.55, exclude=Conv1}", calibration({1, 3, 9, 9}));
  run_recipe(plain, "prune-channels{macs=0.55, exclude=Conv1, repair=no}", calibration({1, 3, 9, 9}));
  EXPECT_LE(double(count_macs(repaired)), 0.55 * double(count_macs(original)));
  EXPECT_GT(testing::sqnr_db(run_reference(repaired, inputs)[0], want), 30);
  EXPECT_LT(testing::sqnr_db(run_reference(plain, inputs)[0], want), 16);
}

TEST(PruneChannels, RepairOfSumsLinearLayersAndBatchNorms) {
  const Graph original = testing::residual_network(1, true);
  const std::vector<Array> inputs{random_array({1, 3, 17, 19}, 5)};
  const Array want = run_reference(original, inputs)[0];
  const auto quality = [&](const std::string& recipe, const PipelineInputs& data) {
    Graph graph = original;
    run_recipe(graph, recipe, data);
    return testing::sqnr_db(run_reference(graph, inputs)[0], want);
  };
  const double with = quality("prune-channels{macs=0.7}", calibration({1, 3, 17, 19})), without = quality("prune-channels{macs=0.7}", {});
  EXPECT_GT(with, without + 6);
}

TEST(PruneChannels, StaysExactBeforeInt8) {
  Graph graph = testing::residual_network();
  run_recipe(graph, "prune-channels{macs=0.5}, quantize-static", calibration({1, 3, 17, 19}));
  const std::vector<Array> inputs{random_array({1, 3, 17, 19}, 5)};
  Graph small = testing::residual_network();
  run_recipe(small, "prune-channels{macs=0.5}", calibration({1, 3, 17, 19}));
  EXPECT_GT(testing::sqnr_db(run_reference(graph, inputs)[0], run_reference(small, inputs)[0]), 20);
}

TEST(PruneHeads, CutsHeadsOnlyAndNothingElse) {
  const Graph original = transformer("packed");
  Graph graph = original;
  const PipelineResult result = run_recipe(graph, "prune-heads{heads=0.7}", {});
  EXPECT_EQ(result.passes[0].changed, 1);
  int64_t before = 0, after = 0;
  for (const Node& node : original.nodes)
    if (node.is("MatMul") && original.constant(node.inputs[1])) before += original.constant(node.inputs[1])->count();
  for (const Node& node : graph.nodes)
    if (node.is("MatMul") && graph.constant(node.inputs[1])) after += graph.constant(node.inputs[1])->count();
  EXPECT_EQ(before - after, 4 * 4 * 12);  // four columns or rows of query, key, value and output weights
  EXPECT_EQ(run_reference(graph, {random_array({1, 5, 12}, 3)})[0].dims(), (Dims{1, 5, 12}));
  Graph images = testing::mobile_network();
  EXPECT_EQ(run_recipe(images, "prune-heads", {}).passes[0].changed, 0);
}

TEST(PruneChannels, ReachesAMeasuredTime) {
  Graph graph = testing::residual_network();
  const int64_t macs = count_macs(graph);
  const PipelineResult result = run_recipe(graph, "prune-channels{latency=0.95}", {});
  EXPECT_LE(count_macs(graph), macs);  // how far is for the clock to say
  EXPECT_NE(result.passes[0].notes[0].find("of the time"), std::string::npos) << result.passes[0].notes[0];
}

// Of two residual blocks, one adds next to nothing: it goes first, and the other stays.
TEST(DropLayers, DropsTheBlockThatIsMissedLeast) {
  Network n;
  ValueId x = n.conv(n.input("image", {1, 3, 8, 8}), 3, 8, 3, 1);
  const auto block = [&](float scale) {
    const ValueId y = n.node("Relu", {n.conv(x, 8, 8, 3, 1)});
    return n.node("Add", {n.node("Conv", {y, n.constant({8, 8, 3, 3}, scale)}, {{"pads", Ints{1, 1, 1, 1}}}), x});
  };
  x = block(0.3f);
  x = block(0.001f);
  const Graph original = n.finish(n.conv(x, 8, 4, 1, 1));
  Graph graph = original;
  const PipelineResult result = run_recipe(graph, "drop-layers{macs=0.7}", calibration({1, 3, 8, 8}));
  EXPECT_EQ(result.passes[0].changed, 1);
  EXPECT_EQ(std::count_if(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) { return node.is("Add"); }), 1);
  const std::vector<Array> inputs{random_array({1, 3, 8, 8}, 5)};
  EXPECT_GT(testing::sqnr_db(run_reference(graph, inputs)[0], run_reference(original, inputs)[0]), 25);
  EXPECT_THROW(run_recipe(graph, "drop-layers", {}), Error);
}

}  // namespace
}  // namespace pare
