// Files that are not what they should be: each must end in an Error that says where, what was found, and what to do.
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "golden.h"
#include "message.h"

namespace pare {
namespace {

using namespace message;

struct Broken {
  const char* name;
  std::string file;
  std::vector<std::string> says;   // parts of the error's text
};

std::string graph_of(const std::string& constants) { return model(constants + node("Relu", {"w"}, {"y"}) + output("y")); }
std::string sparse(const std::string& values, const std::string& indices, const std::vector<int64_t>& extents) {
  std::string text = bytes(1, values) + bytes(2, indices);
  for (int64_t extent : extents) text += number(3, extent);
  return graph_of(bytes(15, text));
}
std::string int64s(const std::vector<int64_t>& values) {
  std::string text;
  for (int64_t v : values)
    for (int k = 0; k < 8; ++k) text += char(uint64_t(v) >> (8 * k));
  return text;
}

std::vector<Broken> broken_files() {
  const std::string eight(8, 'x'), good = tensor("w", 1, {2}, raw(eight));
  const std::string whole = graph_of(initializer(good));
  return {
      {"Empty", "", {"empty", "download"}},
      {"Truncated", whole.substr(0, whole.size() - 5), {"cut short", "claims"}},
      {"TruncatedInTag", whole + "\x80", {"damaged"}},
      {"Garbage", number(1, 8) + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", {"damaged", "byte 2"}},
      {"NoGraph", number(1, 8), {"no graph"}},
      {"OpsetAbsurd", model("", 123456), {"operator set version 123456"}},
      {"OpsetZero", model("", 0), {"operator set version 0"}},
      {"RawTooShort", graph_of(initializer(tensor("w", 1, {3}, raw(eight)))), {"'w'", "8 bytes", "need 12"}},
      {"RawTooLong", graph_of(initializer(tensor("w", 1, {1}, raw(eight)))), {"'w'", "8 bytes", "need 4"}},
      {"NoData", graph_of(initializer(tensor("w", 1, {2}, ""))), {"'w'", "no data"}},
      {"DataTwice", graph_of(initializer(tensor("w", 1, {2}, raw(eight) + bytes(4, eight)))), {"'w'", "twice"}},
      {"TypedTooShort", graph_of(initializer(tensor("w", 6, {3}, packed(5, {1, 2})))), {"'w'", "3 entries of int32_data", "2 there"}},
      {"TypedInWrongField", graph_of(initializer(tensor("w", 7, {2}, packed(5, {1, 2})))), {"int64_data"}},
      {"TypedInTwoFields", graph_of(initializer(tensor("w", 7, {1}, packed(5, {1}) + packed(7, {1})))), {"nothing else"}},
      {"NegativeExtent", graph_of(initializer(tensor("w", 1, {-2}, raw(eight)))), {"'w'", "negative"}},
      {"AbsurdExtents", graph_of(initializer(tensor("w", 1, {int64_t(1) << 40, 1 << 30}, raw(eight)))), {"absurdly large"}},
      {"HugeExtents", graph_of(initializer(tensor("w", 1, {int64_t(1) << 45}, raw(eight)))), {"8 bytes"}},
      {"UnknownType", graph_of(initializer(tensor("w", 99, {2}, raw(eight)))), {"element type number 99"}},
      {"TypeZero", graph_of(initializer(tensor("w", 0, {2}, raw(eight)))), {"element type number 0"}},
      {"RawStrings", graph_of(initializer(tensor("w", 8, {1}, raw(eight)))), {"strings"}},
      {"Segment", graph_of(initializer(tensor("w", 1, {2}, raw(eight) + bytes(3, number(1, 0))))), {"segment"}},
      {"InitializerUnnamed", graph_of(initializer(tensor("", 1, {2}, raw(eight)))), {"no name"}},
      {"InitializerTwice", graph_of(initializer(good) + initializer(good)), {"'w'", "second time"}},
      {"ResultTwice", model(input("x") + node("Relu", {"x"}, {"y"}) + node("Abs", {"x"}, {"y"}) + output("y")), {"Abs", "'y'", "second time"}},
      {"ResultIsInput", model(input("x") + node("Relu", {"x"}, {"x"}) + output("x")), {"'x'", "second time"}},
      {"InputTwice", model(input("x") + input("x") + output("x")), {"'x'", "second time"}},
      {"UndefinedInput", model(node("Relu", {"nowhere"}, {"y"}) + output("y")), {"Relu", "'nowhere'"}},
      {"UndefinedOutput", model(input("x") + node("Relu", {"x"}, {"y"}) + output("z")), {"'z'"}},
      {"Cycle", model(input("x") + node("Add", {"x", "b"}, {"a"}) + node("Relu", {"a"}, {"b"}) + output("b")), {"cycle"}},
      {"NodeWithoutOperator", model(input("x") + node("", {"x"}, {"y"}) + output("y")), {"no operator"}},
      {"AttributeWithoutValue", model(input("x") + node("Relu", {"x"}, {"y"}, attribute("a", "")) + output("y")), {"'a'", "no value"}},
      {"AttributeTwice", model(input("x") + node("Relu", {"x"}, {"y"}, attribute("a", number(3, 1) + number(20, 2)) + attribute("a", number(3, 1) + number(20, 2))) + output("y")), {"'a' twice"}},
      {"AttributeTensorBroken", model(input("x") + node("Relu", {"x"}, {"y"}, attribute("a", bytes(5, tensor("", 1, {9}, raw(eight))) + number(20, 4))) + output("y")), {"Relu", "'a'", "need 36"}},
      {"AttributeGraphMissing", model(input("x") + node("If", {"x"}, {"y"}, attribute("then_branch", number(20, 5))) + output("y")), {"then_branch"}},
      {"ConstantWithoutValue", model(node("Constant", {}, {"y"}) + output("y")), {"Constant", "one attribute"}},
      {"ConstantOfOtherKind", model(node("Constant", {}, {"y"}, attribute("value_oops", number(3, 1))) + output("y")), {"value_oops"}},
      {"SubgraphReadsNothing", model(input("x") + node("If", {"x"}, {"y"}, attribute("then_branch", bytes(6, node("Relu", {"q"}, {"z"}) + output("z")) + number(20, 5))) + output("y")), {"'q'"}},
      {"SparseOutside", sparse(tensor("w", 1, {1}, raw("abcd")), tensor("", 7, {1}, raw(int64s({9}))), {3, 3}), {"index 0", "outside 3x3"}},
      {"SparsePairOutside", sparse(tensor("w", 1, {1}, raw("abcd")), tensor("", 7, {1, 2}, raw(int64s({0, -1}))), {3, 3}), {"outside"}},
      {"SparseShapes", sparse(tensor("w", 1, {1}, raw("abcd")), tensor("", 7, {2}, raw(int64s({0, 1}))), {3, 3}), {"values 1 and indices 2"}},
      {"SparseAbsurd", sparse(tensor("w", 1, {1}, raw("abcd")), tensor("", 7, {1}, raw(int64s({0}))), {1 << 20, 1 << 20}), {"absurdly sparse"}},
      {"ExternalMissing", graph_of(initializer(tensor("w", 1, {2}, external("gone.bin")))), {"'w'", "gone.bin", "beside"}},
      {"ExternalUnnamed", graph_of(initializer(tensor("w", 1, {2}, number(14, 1)))), {"outside"}},
      {"ExternalAbsolute", graph_of(initializer(tensor("w", 1, {2}, external("/etc/passwd")))), {"/etc/passwd", "outside"}},
      {"ExternalEscapes", graph_of(initializer(tensor("w", 1, {2}, external("a/../../b.bin")))), {"outside"}},
      {"ExternalTooShort", graph_of(initializer(tensor("w", 1, {5}, external("data.bin")))), {"bytes 0 to 20", "has 16"}},
      {"ExternalOffset", graph_of(initializer(tensor("w", 1, {2}, external("data.bin", entry("offset", "9"))))), {"bytes 9 to 17"}},
      {"ExternalOffsetHuge", graph_of(initializer(tensor("w", 1, {2}, external("data.bin", entry("offset", "18446744073709551615"))))), {"has 16"}},
      {"ExternalOffsetNegative", graph_of(initializer(tensor("w", 1, {2}, external("data.bin", entry("offset", "-4"))))), {"'-4'"}},
      {"ExternalLength", graph_of(initializer(tensor("w", 1, {2}, external("data.bin", entry("length", "12"))))), {"12 bytes", "need 8"}},
      {"ExternalAndRaw", graph_of(initializer(tensor("w", 1, {2}, external("data.bin") + raw(eight)))), {"twice"}},
  };
}

class BrokenFile : public ::testing::TestWithParam<size_t> {};

TEST_P(BrokenFile, EndsInAnErrorThatHelps) {
  const Broken broken = broken_files()[GetParam()];
  const TemporaryFolder folder;
  const std::string path = folder / "model.onnx";
  std::ofstream(path, std::ios::binary) << broken.file;
  std::ofstream(folder / "data.bin", std::ios::binary) << std::string(16, 'd');
  try {
    read_model(path);
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_TRUE(error.where().starts_with(path)) << error.what();
    for (const std::string& part : broken.says) EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << part << " in: " << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(Onnx, BrokenFile, ::testing::Range(size_t(0), broken_files().size()),
                         [](const auto& test) { return std::string(broken_files()[test.param].name); });

TEST(BrokenFiles, TheGoodOneIsRead) {
  const std::string file = graph_of(initializer(tensor("w", 1, {2}, raw(std::string(8, 0)))));
  EXPECT_EQ(read_onnx_bytes(std::as_bytes(std::span(file)), "memory").nodes.size(), 1u);
}

// A scale without elements: no codec may take it for the encoding of a weight.
TEST(BrokenFiles, AnEmptyScaleIsNotFolded) {
  const std::string file = model(initializer(tensor("q", 3, {4, 2}, raw(std::string(8, 1)))) + initializer(tensor("s", 1, {0}, "")) +
                                 node("DequantizeLinear", {"q", "s"}, {"w"}) + node("Relu", {"w"}, {"y"}) + output("y"));
  const Graph graph = read_onnx_bytes(std::as_bytes(std::span(file)), "memory");
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(BrokenFiles, MemoryHasNoOtherFiles) {
  const std::string file = graph_of(initializer(tensor("w", 1, {2}, external("data.bin"))));
  EXPECT_THROW(read_onnx_bytes(std::as_bytes(std::span(file)), "memory"), Error);
}

// Every prefix of a real file, and every file with one byte changed: an Error or a graph, never anything else.
TEST(BrokenFiles, DamagedFixturesNeverCrash) {
  for (const char* name : {"int8_weights", "subgraphs_11", "attributes_7"}) {
    std::string file = read_text(fixture(name));
    auto survives = [](const std::string& damaged) {
      try {
        Graph graph = read_onnx_bytes(std::as_bytes(std::span(damaged)), "damaged");
        verify(graph);
        infer_shapes(graph);
        verify(graph);
      } catch (const Error& error) {
        EXPECT_FALSE(std::string(error.what()).empty());
      }
    };
    for (size_t size = 0; size < file.size(); size += 7) survives(file.substr(0, size));
    for (size_t at = 0; at < file.size(); at += 3) {
      std::string damaged = file;
      damaged[at] = char(damaged[at] ^ (1 << at % 8));
      survives(damaged);
    }
  }
}

TEST(MissingFile, IsNamed) {
  try {
    read_model("/nowhere/model.onnx");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/model.onnx"), std::string::npos);
    EXPECT_FALSE(error.fix().empty());
  }
}

}  // namespace
}  // namespace pare
