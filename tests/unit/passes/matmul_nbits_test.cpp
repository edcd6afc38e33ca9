// Linear layers of few bits as MatMulNBits and back.
#include <gtest/gtest.h>

#include "codecs/codecs.h"
#include "codecs/nbits.h"
#include "engine/engine.h"
#include "formats/format.h"
#include "formats/nbits.h"
#include "graph/op.h"
#include "passes/pass.h"
#include "support/networks.h"
#include "support/places.h"

namespace pare {
namespace {

struct Case {
  Type type;
  int64_t inputs, group;
  bool zeros, transposed;
};

// A linear layer of random integers, of a matrix product or a Gemm with a bias.
Graph linear(const Case& one) {
  constexpr int64_t kOutputs = 5;
  testing::Network n;
  const int64_t blocks = (one.inputs + one.group - 1) / one.group, levels = int64_t(1) << type_bits(one.type), least = one.type == Type::i4 || one.type == Type::i8 ? -levels / 2 : 0;
  Random random(uint64_t(one.inputs * 7 + one.group));
  const auto integers = [&](Dims dims) {
    Array wide(Type::i32, std::move(dims));
    for (int32_t& v : wide.mutable_values<int32_t>()) v = int32_t(least + int64_t(random.below(uint64_t(levels))));
    return wide.cast(one.type);
  };
  const auto extents = [&](int64_t rows) { return one.transposed ? Dims{kOutputs, rows} : Dims{rows, kOutputs}; };
  Array scale = testing::random_array(extents(blocks), 4);
  for (float& s : scale.mutable_values<float>()) s = 0.1f + s * s;
  const ValueId w = n.graph.add_constant("w", affine_tensor(integers(extents(one.inputs)), scale, one.zeros ? integers(extents(blocks)) : Array(), one.transposed ? 1 : 0, one.group));
  const ValueId x = n.input("x", {3, one.inputs});
  return n.finish(one.transposed ? n.node("Gemm", {x, w, n.constant({kOutputs})}, {{"transB", int64_t(1)}}) : n.node("MatMul", {x, w}));
}

class MatMulNBitsForm : public ::testing::TestWithParam<Case> {};

TEST_P(MatMulNBitsForm, ComputesTheSameAndComesBackAsItWas) {
  const Graph before = linear(GetParam());
  Graph graph = before;
  const Array x = testing::random_array({3, GetParam().inputs}, 77);
  const PipelineResult result = run_recipe(graph, "matmul-nbits", {});
  ASSERT_EQ(result.passes[0].changed, 1);
  ASSERT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.nodes[0].op_type, "MatMulNBits");
  EXPECT_EQ(graph.opsets.at("com.microsoft"), 1);
  EXPECT_GT(testing::sqnr_db(run_reference(graph, {x})[0], run_reference(before, {x})[0]), 120);

  const testing::TemporaryFolder folder;
  for (const char* file : {"m.onnx", "m.pare", "m.graph"}) {
    write_model(graph, folder / file);
    const Graph read = read_model(folder / file);
    EXPECT_TRUE(read.nodes[0].is("MatMul"));
    EXPECT_EQ(read.nodes.size(), GetParam().transposed ? 2u : 1u);
    EXPECT_GT(testing::sqnr_db(run_reference(read, {x})[0], run_reference(before, {x})[0]), 120);
    const Tensor& weight = *read.constant(read.nodes[0].inputs[1]);
    EXPECT_EQ(weight.group, GetParam().group);
    EXPECT_EQ(weight.codec, before.constant(before.nodes[0].inputs[1])->codec);
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, MatMulNBitsForm,
                         ::testing::Values(Case{Type::i4, 64, 32, false, false}, Case{Type::u4, 96, 32, true, false}, Case{Type::u4, 48, 16, true, true}, Case{Type::i4, 80, 32, false, true},
                                           Case{Type::i8, 64, 16, false, false}, Case{Type::u8, 70, 32, true, true}, Case{Type::u4, 33, 16, true, false}));

TEST(MatMulNBits, LeavesWhatItCannotHold) {
  // Blocks are powers of two from 16 on; one that reaches far beyond the inputs would be mostly empty.
  for (const Case& one : {Case{Type::i4, 72, 24, false, false}, Case{Type::i4, 64, 8, false, false}, Case{Type::i8, 20, 1 << 20, false, false}}) {
    Graph graph = linear(one);
    const PipelineResult result = run_recipe(graph, "matmul-nbits", {});
    EXPECT_EQ(result.passes[0].changed, 0);
    ASSERT_EQ(result.passes[0].notes.size(), 1u);
  }
  Graph graph = linear({Type::i4, 64, 32, false, false});
  run_recipe(graph, "matmul-nbits{exclude=MatMul}", {});
  EXPECT_TRUE(graph.nodes[0].is("MatMul"));
}

TEST(MatMulNBits, NodesShareWhatTheyShared) {
  testing::Network n;
  const ValueId w = n.graph.add_constant("w", codec_int4.encode(testing::random_array({64, 64}, 2), 0, 32)), x = n.input("x", {2, 64});
  Graph graph = n.finish(n.node("MatMul", {n.node("MatMul", {x, w}), w}));
  run_recipe(graph, "matmul-nbits", {});
  EXPECT_EQ(graph.nodes[0].inputs[1], graph.nodes[1].inputs[1]);
  fold_n_bits(graph);
  EXPECT_TRUE(graph.nodes[1].is("MatMul"));
  EXPECT_EQ(graph.nodes[0].inputs[1], graph.nodes[1].inputs[1]);
}

TEST(MatMulNBits, StaysWhereItSaysTooLittleOrMore) {
  Graph packed = linear({Type::u4, 48, 16, true, true});
  run_recipe(packed, "matmul-nbits", {});
  const auto folds = [&](auto change) {
    Graph graph = packed;
    change(graph, graph.nodes[0]);
    fold_n_bits(graph);
    return graph.nodes[0].is("MatMul");
  };
  EXPECT_TRUE(folds([](Graph&, Node&) {}));
  EXPECT_FALSE(folds([](Graph&, Node& node) { node.outputs.clear(); }));
  EXPECT_FALSE(folds([](Graph&, Node& node) { node.outputs[0] = kNone; }));
  EXPECT_FALSE(folds([](Graph&, Node& node) { node.inputs[0] = kNone; }));
  EXPECT_FALSE(folds([](Graph&, Node& node) { node.inputs.resize(2); }));
  EXPECT_FALSE(folds([](Graph&, Node& node) { node.attributes.erase("K"); }));
  EXPECT_FALSE(folds([](Graph& graph, Node& node) { node.inputs[1] = graph.inputs[0]; }));
  EXPECT_FALSE(folds([](Graph& graph, Node& node) { node.inputs[4] = graph.add_constant("groups", Tensor(Array(Type::i32, {48}))); }));
  EXPECT_FALSE(folds([](Graph& graph, Node& node) { node.inputs[5] = graph.add_constant("bias", Tensor(Array(Type::f32, {1}))); }));
}

// Files may say anything: parts that do not fit are left to the operator, which says what is wrong.
TEST(MatMulNBits, PartsThatDoNotFitAreNoTensor) {
  const NBitsMatrix sound{64, 5, 4, 32, Array(Type::u8, {5, 2, 16}), Array(Type::f32, {10}), Array(Type::u8, {5})};
  EXPECT_TRUE(tensor_of_n_bits(sound).has_value());
  for (auto spoil : {+[](NBitsMatrix& m) { m.rows = 65; }, +[](NBitsMatrix& m) { m.columns = int64_t(1) << 40; }, +[](NBitsMatrix& m) { m.rows = -64; }, +[](NBitsMatrix& m) { m.block = 0; },
                     +[](NBitsMatrix& m) { m.bits = 3; }, +[](NBitsMatrix& m) { m.bits = 8; }, +[](NBitsMatrix& m) { m.scales = Array(Type::f32, {9}); },
                     +[](NBitsMatrix& m) { m.zeros = Array(Type::u8, {4}); }, +[](NBitsMatrix& m) { m.zeros = Array(Type::f32, {5}); }, +[](NBitsMatrix& m) { m.bytes = Array(Type::i8, {5, 2, 16}); }}) {
    NBitsMatrix broken = sound;
    spoil(broken);
    EXPECT_FALSE(tensor_of_n_bits(broken).has_value());
  }
}

}  // namespace
}  // namespace pare
