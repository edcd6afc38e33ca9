// What a file says arrives in the graph: every way to store elements, constants, subgraphs, order, types.
#include <set>

#include "base/files.h"
#include "codecs/codecs.h"
#include "golden.h"
#include "message.h"

namespace pare {
namespace {

Graph read_bytes(const std::string& file) { return read_onnx_bytes(std::as_bytes(std::span(file)), "memory"); }
Array constant(const Graph& graph, const std::string& name) {
  const ValueId id = graph.find(name);
  if (id == kNone || graph.at(id).constant == nullptr) throw Error(name, "is no constant");
  return graph.at(id).constant->array();
}

TEST(ReadOnnx, TypedAndRawDataAreTheSame) {
  const Graph graph = read_onnx(fixture("typed_data"));
  std::set<Type> seen;
  for (const Value& value : graph.values) {
    if (!value.name.ends_with("_typed")) continue;
    const std::string raw = value.name.substr(0, value.name.size() - 5) + "raw";
    if (graph.find(raw) == kNone) continue;
    EXPECT_TRUE(constant(graph, value.name).same_as(constant(graph, raw))) << value.name;
    EXPECT_EQ(value.constant->count(), 5);
    seen.insert(value.type);
  }
  EXPECT_EQ(seen.size(), 22u);
  EXPECT_EQ(constant(graph, "i8_typed").to_integers(), (std::vector<int64_t>{-128, -1, 0, 1, 127}));
  EXPECT_EQ(constant(graph, "i4_typed").to_integers(), (std::vector<int64_t>{-8, -1, 0, 1, 7}));
  EXPECT_EQ(constant(graph, "text_typed").size_bytes(), 3 * 4 + 3 + 7u);
  EXPECT_EQ(constant(graph, "empty_typed").dims(), (Dims{0, 4}));
}

// Weights of some size stay in the file until they are used, wherever they lie there.
TEST(ReadOnnx, LargeWeightsStayInTheFile) {
  const TemporaryFolder folder;
  std::vector<float> values(20000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(i) * 0.5f;
  const std::string content(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  for (int shift = 0; shift < 5; ++shift) {
    std::string graph = message::bytes(10, std::string(size_t(1 + shift), 'd')) + message::output("y");
    graph += message::initializer(message::tensor("small", 1, {1}, message::raw(content.substr(4, 4))));
    graph += message::initializer(message::tensor("w", 1, {20000}, message::raw(content)));
    graph += message::node("Add", {"w", "small"}, {"y"});
    const std::string path = folder / "m.onnx";
    write_text(path, message::model(graph));
    const Graph model = read_onnx(path);
    const Array w = constant(model, "w");
    EXPECT_EQ(reinterpret_cast<uintptr_t>(w.bytes()) % 64, 0u) << "kernels get aligned weights";
    EXPECT_NE(model.constant(model.find("w"))->parts[0].bytes(), w.bytes()) << "a copy, made for this use";
    EXPECT_EQ(w.to_floats(), values);
    EXPECT_TRUE(constant(model, "w").same_as(w)) << "the file's pages come again";
    EXPECT_EQ(constant(model, "small").to_floats(), std::vector<float>{0.5f});
    EXPECT_TRUE(constant(read_bytes(message::model(graph)), "w").same_as(w)) << "from memory the same";
  }
}

// Data that is there twice or in the wrong size is refused the same way when it is large.
TEST(ReadOnnx, LargeWeightsAreCheckedLikeSmallOnes) {
  const std::string content(80000, 'x');
  const auto with = [&](const std::string& tensor) { return message::model(message::output("w") + message::initializer(tensor)); };
  EXPECT_NO_THROW(read_bytes(with(message::tensor("w", 1, {20000}, message::raw(content)))));
  EXPECT_THROW(read_bytes(with(message::tensor("w", 1, {19999}, message::raw(content)))), Error);
  EXPECT_THROW(read_bytes(with(message::tensor("w", 1, {20000}, message::raw(content) + message::bytes(4, std::string(4, 'f'))))), Error);
  EXPECT_THROW(read_bytes(with(message::tensor("w", 1, {20000}, message::raw(content) + message::external("beside")))), Error);
  EXPECT_NO_THROW(read_bytes(with(message::tensor("w", 1, {20000}, message::raw(content) + message::raw(content))))) << "protobuf: the last one counts";
}

TEST(ReadOnnx, ConstantNodesAndSparseTensorsBecomeConstants) {
  const Graph graph = read_onnx(fixture("constants"));
  EXPECT_EQ(graph.nodes.size(), 1u);
  const Array dense = constant(graph, "c_value");
  EXPECT_EQ(dense.to_floats(), (std::vector<float>{0, 5, 0, 0, 0, 0, 6, 0, 0, 0, 0, 7}));
  for (const char* name : {"sparse_linear", "sparse_pairs", "c_sparse"}) EXPECT_TRUE(constant(graph, name).same_as(dense)) << name;
  EXPECT_TRUE(constant(graph, "c_float").same_as(Array::scalar(2.5f)));
  EXPECT_TRUE(constant(graph, "c_floats").same_as(Array::of<float>({2}, {1, 2})));
  EXPECT_TRUE(constant(graph, "c_int").same_as(Array::scalar<int64_t>(-3)));
  EXPECT_TRUE(constant(graph, "c_ints").same_as(Array::of<int64_t>({3}, {4, 5, 6})));
  EXPECT_EQ(constant(graph, "c_string").size_bytes(), 8u);
  EXPECT_EQ(constant(graph, "c_strings").dims(), Dims{2});
}

TEST(ReadOnnx, SubgraphsNameWhatTheyTakeFromAround) {
  const Graph graph = read_golden("subgraphs_11").graph;
  ASSERT_EQ(graph.nodes.size(), 1u);
  const auto then = graph.nodes[0].get<std::shared_ptr<Graph>>("then_branch", nullptr);
  ASSERT_NE(then, nullptr);
  const ValueId x = then->find("x"), w = then->find("w");
  ASSERT_NE(x, kNone);
  EXPECT_TRUE(then->at(x).outer);
  EXPECT_EQ(then->at(x).type, Type::f32);
  ASSERT_NE(w, kNone) << "only the branch inside this branch reads it";
  EXPECT_NE(then->at(w).constant, nullptr);
  const auto deep = then->nodes.back().get<std::shared_ptr<Graph>>("then_branch", nullptr);
  EXPECT_TRUE(deep->at(deep->find("w")).outer && deep->at(deep->find("x")).outer && deep->at(deep->find("mid")).outer);
}

TEST(ReadOnnx, OldInitializersAreNoInputs) {
  using namespace message;
  const std::string w = initializer(tensor("w", 1, {1}, raw(std::string(4, 0))));
  const Graph graph = read_bytes(model(input("x") + input("w") + w + node("Add", {"x", "w"}, {"y"}) + output("y")));
  EXPECT_EQ(graph.inputs.size(), 1u);
  EXPECT_NE(graph.at(graph.find("w")).constant, nullptr);
}

TEST(ReadOnnx, NodesAreSortedAndOptionalInputsLeftOut) {
  using namespace message;
  const Graph graph = read_bytes(model(input("x") + node("Clip", {"a", "", "m"}, {"y", ""}) + node("Relu", {"x"}, {"a"}, bytes(7, "ai.onnx")) +
                                       initializer(tensor("m", 1, {}, raw(std::string(4, 0)))) + output("y")));
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_TRUE(graph.nodes[0].is("Relu")) << "ai.onnx is the domain without a name";
  EXPECT_NE(graph.nodes[0].op, nullptr);
  EXPECT_EQ(graph.nodes[1].inputs.at(1), kNone);
  EXPECT_EQ(graph.nodes[1].outputs.at(1), kNone);
}

TEST(ReadOnnx, BoolsAreZeroOrOne) {
  using namespace message;
  const Graph graph = read_bytes(model(initializer(tensor("b", 9, {3}, raw(std::string("\0\2\xff", 3)))) + node("Not", {"b"}, {"y"}) + output("y")));
  EXPECT_EQ(constant(graph, "b").to_integers(), (std::vector<int64_t>{0, 1, 1}));
}

TEST(ReadOnnx, AttributesOfFilesWithoutTypes) {
  using namespace message;
  const Graph graph = read_bytes(model(input("x") + node("Foo", {"x"}, {"y"}, attribute("i", number(3, -5)) + attribute("s", bytes(4, "t")) +
                                       attribute("ints", number(8, 1) + number(8, 2))) + output("y")));
  EXPECT_EQ(graph.nodes[0].integer("i", 0), -5);
  EXPECT_EQ(graph.nodes[0].text("s"), "t");
  EXPECT_EQ(graph.nodes[0].integers("ints"), (std::vector<int64_t>{1, 2}));
  EXPECT_THROW(graph.nodes[0].integer("s", 0), Error);
}

TEST(ReadOnnx, ExternalDataIsRead) {
  const Graph graph = read_model(fixture("external"));
  const Array& w = constant(graph, "w");
  EXPECT_EQ(w.dims(), (Dims{16, 24}));
  float sum = 0;
  for (float v : w.values<float>()) sum += v * v;
  EXPECT_NEAR(sum / 384, 1, 0.3) << "normally distributed";
}

TEST(ReadOnnx, DecodingNodesBecomeEncodedConstants) {
  const Golden int8 = read_golden("int8_weights");
  const Tensor* w = int8.graph.constant(int8.graph.find("w"));
  const Tensor* b = int8.graph.constant(int8.graph.find("b"));
  ASSERT_TRUE(w != nullptr && b != nullptr);
  EXPECT_EQ(w->codec, &codec_int8);
  EXPECT_EQ(b->codec, &codec_int32);
  EXPECT_EQ(int8.graph.nodes.size(), 3u);
  expect_same_results(int8.graph, int8, 1e-4);
  const Golden half = read_golden("float16_weights");
  EXPECT_EQ(half.graph.constant(half.graph.find("w"))->codec, &codec_float16);
  expect_same_results(half.graph, half);
  const Golden int4 = read_golden("int4_weights");
  const Tensor* blocks = int4.graph.constant(int4.graph.find("w"));
  ASSERT_NE(blocks, nullptr);
  EXPECT_EQ(blocks->codec, &codec_int4);
  EXPECT_EQ(blocks->group, 4);
  expect_same_results(int4.graph, int4);
}

TEST(ReadOnnx, NamedAndUnknownExtents) {
  const Graph graph = read_onnx(fixture("other_kinds"));
  const Shape& shape = *graph.at(graph.inputs.at(0)).shape;
  EXPECT_EQ(shape_text(shape), "Nx2");
  EXPECT_EQ(shape[0].name, "N");
  EXPECT_EQ(graph.metadata.at("author"), "fixtures");
  EXPECT_FALSE(graph.functions.empty());
}

}  // namespace
}  // namespace pare
