// What is written reads back the same, in as few bytes and in the operator set the nodes need.
#include <filesystem>

#include "base/files.h"
#include "codecs/codecs.h"
#include "golden.h"

namespace pare {
namespace {

const char* const kRealModels[] = {"image_classification/resnet20_cifar10", "image_classification/resnet20_cifar10_bn",
                                   "object_detection/yolox_nano_416", "generative/rfdn_x4", "generative/carn_m_x2",
                                   "text_classification/minilm_l6_banking77", "llm/stories260K"};

class RealModel : public ::testing::TestWithParam<const char*> {};

TEST_P(RealModel, RoundTripPrintsTheSame) {
  const std::string path = testing::models_dir() + "/" + GetParam() + ".onnx";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const TemporaryFolder folder;
  const Graph graph = read_model(path);
  write_model(graph, folder / "a.onnx");
  expect_same_text(read_model(folder / "a.onnx"), graph);
  EXPECT_LE(artifact_bytes(folder / "a.onnx"), artifact_bytes(path));
}

INSTANTIATE_TEST_SUITE_P(Shared, RealModel, ::testing::ValuesIn(kRealModels), [](const auto& test) {
  const std::string name = test.param;
  return name.substr(name.find('/') + 1);
});

class Fixture : public ::testing::TestWithParam<const char*> {};

TEST_P(Fixture, RoundTripPrintsTheSame) {
  const TemporaryFolder folder;
  write_model(read_model(fixture(GetParam())), folder / "a.onnx");  // once, so that names are short
  const Graph graph = read_model(folder / "a.onnx");
  write_model(graph, folder / "b.onnx");
  expect_same_text(read_model(folder / "b.onnx"), graph);
  EXPECT_TRUE(read_text(folder / "a.onnx") == read_text(folder / "b.onnx")) << "writing is repeatable";
}

TEST_P(Fixture, AllConstantsKeepTheirBytes) {
  const TemporaryFolder folder;
  const Graph graph = read_model(fixture(GetParam()));
  write_model(graph, folder / "a.onnx", {.external_above = 0});
  const Graph again = read_model(folder / "a.onnx");
  for (const Value& value : graph.values) {
    if (value.constant == nullptr || !value.name.starts_with("golden")) continue;
    const Tensor* other = again.constant(again.find(value.name));
    ASSERT_NE(other, nullptr) << value.name;
    EXPECT_TRUE(value.constant->decode().same_as(other->decode())) << value.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Fixture,
                         ::testing::Values("typed_data", "constants", "subgraphs_11", "int8_weights", "int4_weights", "float16_weights",
                                           "external", "other_kinds", "attributes_7", "softmax_7_axis_default"),
                         [](const auto& test) { return std::string(test.param); });

TEST(WriteOnnx, WrittenFixturesGiveTheSameResults) {
  const TemporaryFolder folder;
  for (const char* name : {"int8_weights", "int4_weights", "float16_weights", "subgraphs_11", "attributes_7"}) {
    write_model(read_model(fixture(name)), folder / "a.onnx");
    const Golden golden = split_golden(read_model(folder / "a.onnx"));
    expect_same_results(golden.graph, golden, 1e-4);
  }
}

// x → Relu → MatMul(w) → y with w of 64x256
Graph small_graph() {
  Graph graph;
  graph.opsets[""] = 13;
  graph.ir_version = 7;
  Array w(Type::f32, {64, 256});
  float next = 0;
  for (float& v : w.mutable_values<float>()) v = next += 0.25f;
  const ValueId x = graph.add_value("x", Type::f32, Shape{{-1, "N"}, {64, ""}}), t = graph.add_value("t"), y = graph.add_value("y", Type::f32);
  const ValueId weight = graph.add_constant("layer.weight", Tensor(w));
  graph.inputs = {x};
  graph.outputs = {y};
  graph.add_node("Relu", {x}, {t});
  graph.add_node("MatMul", {t, weight}, {y}).name = "product";
  graph.metadata["key"] = "value";
  return graph;
}

TEST(WriteOnnx, LargeTensorsGoToTheDataFile) {
  const TemporaryFolder folder;
  const Graph graph = small_graph();
  write_model(graph, folder / "a.onnx", {.external_above = 10000});
  EXPECT_TRUE(std::filesystem::exists(folder / "a.onnx.data"));
  EXPECT_LT(std::filesystem::file_size(folder / "a.onnx"), 500u);
  EXPECT_GT(artifact_bytes(folder / "a.onnx"), 65536);
  const Graph again = read_model(folder / "a.onnx");
  const Array w = again.constant(again.find("layer.weight"))->array();
  EXPECT_TRUE(w.same_as(graph.constant(graph.find("layer.weight"))->array()));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(w.bytes()) % 64, 0u);
  // Written over itself: the mapped old data must stay readable until the new is there.
  write_model(again, folder / "a.onnx", {.external_above = 10000});
  const Graph third = read_model(folder / "a.onnx");
  EXPECT_TRUE(third.constant(third.find("layer.weight"))->array().same_as(w));
  // The model moved without its data.
  std::filesystem::remove(folder / "a.onnx.data");
  EXPECT_THROW(read_model(folder / "a.onnx"), Error);
}

// Runtimes map the data file: a large tensor starts on a page, a small one on a cache line.
TEST(WriteOnnx, ExternalDataIsAligned) {
  const TemporaryFolder folder;
  Graph graph;
  graph.opsets[""] = 13;
  graph.opsets["test"] = 1;
  std::vector<ValueId> ids;
  for (const auto& [name, size] : {std::pair<const char*, int64_t>{"a", 1100}, {"b", 70000}, {"c", 1100}})
    ids.push_back(graph.add_constant(name, Tensor(Array(Type::i8, {size}))));
  graph.outputs = {graph.add_value("y", Type::f32)};
  Node& node = graph.add_node("Keep", ids, graph.outputs);
  node.domain = "test";
  write_model(graph, folder / "a.onnx", {.external_above = 0});
  const int64_t c = (4096 + 70000 + 63) / 64 * 64;
  EXPECT_EQ(file_size(folder / "a.onnx.data"), c + 1100);
}

TEST(WriteOnnx, SmallModelsStayInOneFile) {
  const TemporaryFolder folder;
  write_model(small_graph(), folder / "a.onnx");
  EXPECT_FALSE(std::filesystem::exists(folder / "a.onnx.data"));
  const Graph again = read_model(folder / "a.onnx");
  EXPECT_EQ(again.producer, "pare");
  EXPECT_EQ(again.metadata.at("key"), "value");
  EXPECT_EQ(again.nodes.at(1).name, "product");
}

TEST(WriteOnnx, OpsetAndIrVersionAreWhatTheNodesNeed) {
  const TemporaryFolder folder;
  auto written = [&](const Graph& graph) {
    write_model(graph, folder / "a.onnx");
    return read_model(folder / "a.onnx");
  };
  Graph graph = small_graph();
  EXPECT_EQ(written(graph).opset(), 13);
  EXPECT_EQ(written(graph).ir_version, 7);
  auto encode = [&](const Codec& codec, int axis, int64_t group) {
    Graph encoded = small_graph();
    Value& value = encoded.at(encoded.find("layer.weight"));
    value.constant = std::make_shared<const Tensor>(codec.encode(value.constant->array(), axis, group));
    return encoded;
  };
  const Graph int8 = written(encode(codec_int8, 1, 0));
  EXPECT_EQ(int8.opset(), 13);
  EXPECT_EQ(int8.constant(int8.find("layer.weight"))->codec, &codec_int8);
  EXPECT_EQ(int8.nodes.size(), 2u);
  const Graph int4 = written(encode(codec_int4, 0, 32));
  EXPECT_EQ(int4.opset(), 21);
  EXPECT_EQ(int4.ir_version, 10);
  EXPECT_EQ(int4.constant(int4.find("layer.weight"))->codec, &codec_int4);
  graph.ir_version = 9;
  EXPECT_EQ(written(graph).ir_version, 9) << "the file's own is kept";
}

TEST(WriteOnnx, WritingDoesNotChangeTheGraph) {
  const TemporaryFolder folder;
  const Graph graph = read_model(fixture("int8_weights"));
  const std::string before = text_of(graph);
  write_model(graph, folder / "a.onnx");
  EXPECT_TRUE(text_of(graph) == before);
  const Graph branches = read_model(fixture("subgraphs_11"));
  const std::string text = text_of(branches);
  write_model(branches, folder / "b.onnx");
  EXPECT_TRUE(text_of(branches) == text);
}

TEST(WriteOnnx, EncodedConstantsOfSubgraphsAreUnfoldedInTheFileOnly) {
  const TemporaryFolder folder;
  const Graph graph = read_model(fixture("subgraphs_11"));
  const auto branch = [](const Graph& g) { return g.nodes.at(0).get<std::shared_ptr<Graph>>("then_branch", nullptr); };
  Value& w = branch(graph)->at(branch(graph)->find("w"));
  w.constant = std::make_shared<const Tensor>(codec_float16.encode(w.constant->array(), 0, 0));
  write_model(graph, folder / "a.onnx");
  EXPECT_EQ(w.constant->codec, &codec_float16);
  const Graph again = read_model(folder / "a.onnx");
  const Tensor* read = branch(again)->constant(branch(again)->find("w"));
  ASSERT_NE(read, nullptr);
  EXPECT_EQ(read->codec, &codec_float16);
  const Golden golden = split_golden(again);
  expect_same_results(golden.graph, golden);
}

TEST(WriteOnnx, NamesOfQuantizersAreShortNamesOfWeightsStay) {
  const TemporaryFolder folder;
  write_model(read_model(fixture("int8_weights")), folder / "a.onnx");
  const std::string file = read_text(folder / "a.onnx");
  EXPECT_EQ(file.find("activations_of_the_first_layer"), std::string::npos);
  const Graph graph = read_model(folder / "a.onnx");
  for (const char* name : {"x", "y", "w", "b"}) EXPECT_NE(graph.find(name), kNone) << name;
}

TEST(WriteOnnx, ConstantOutputsAreResultsOfConstantNodes) {
  const TemporaryFolder folder;
  Graph graph = small_graph();
  graph.outputs.push_back(graph.find("layer.weight"));
  write_model(graph, folder / "a.onnx");
  const Graph again = read_model(folder / "a.onnx");
  ASSERT_EQ(again.outputs.size(), 2u);
  EXPECT_NE(again.constant(again.outputs[1]), nullptr);
}

TEST(WriteOnnx, AReadOnlyFolderIsNamed) {
  try {
    write_model(small_graph(), "/nowhere/at/all/a.onnx");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/at/all/a.onnx"), std::string::npos);
  }
}

}  // namespace
}  // namespace pare
