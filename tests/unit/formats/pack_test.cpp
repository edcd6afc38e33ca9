// Pack files: what is read is what was written, to the byte of the ONNX file made from it; broken ones end in an Error.
#include <filesystem>

#include "base/files.h"
#include "codecs/codecs.h"
#include "formats/pack/pack.h"
#include "golden.h"
#include "support/networks.h"

namespace pare {
namespace {

const char* const kModels[] = {"image_classification/resnet20_cifar10", "object_detection/yolox_nano_416", "text_classification/minilm_l6_banking77",
                               "llm/stories260K"};

// The model as ONNX, and as ONNX by way of a pack file.
void expect_restored(const Graph& graph, bool mapped) {
  const TemporaryFolder folder;
  write_model(graph, folder / "direct.onnx");
  write_model(graph, folder / "a.pare", {.mapped = mapped});
  const Graph again = read_model(folder / "a.pare");
  expect_same_text(again, graph);
  EXPECT_EQ(print(again, true), print(graph, true)) << "producer and doc as well";
  write_model(again, folder / "back.onnx");
  EXPECT_TRUE(read_text(folder / "direct.onnx") == read_text(folder / "back.onnx")) << "the ONNX file differs";
}

class PackedModel : public ::testing::TestWithParam<const char*> {};
TEST_P(PackedModel, ComesBackExactly) {
  const std::string path = testing::models_dir() + "/" + GetParam() + ".onnx";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const Graph graph = read_model(path);
  for (bool mapped : {false, true}) expect_restored(graph, mapped);
}
INSTANTIATE_TEST_SUITE_P(Shared, PackedModel, ::testing::ValuesIn(kModels), [](const auto& test) {
  const std::string name = test.param;
  return name.substr(name.find('/') + 1);
});

class PackedFixture : public ::testing::TestWithParam<const char*> {};
TEST_P(PackedFixture, ComesBackExactly) {
  for (bool mapped : {false, true}) expect_restored(read_model(fixture(GetParam())), mapped);
}
INSTANTIATE_TEST_SUITE_P(Golden, PackedFixture,
                         ::testing::Values("typed_data", "constants", "subgraphs_11", "int8_weights", "int4_weights", "float16_weights", "external", "other_kinds",
                                           "attributes_7"),
                         [](const auto& test) { return std::string(test.param); });

// A network whose weights are of every make a coding is for.
Graph mixed_network() {
  testing::Network n;
  const ValueId x = n.input("x", {1, 64});
  const auto weight = [&](const char* name, Tensor tensor) { return n.graph.add_constant(name, std::move(tensor)); };
  const auto changed = [&](uint64_t seed, auto&& change) {
    Array array = testing::random_array({64, 64}, seed);
    auto values = array.mutable_values<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = change(values[i], i);
    return array;
  };
  ValueId y = n.node("MatMul", {x, weight("dense", testing::random_array({64, 64}, 1))});
  y = n.node("MatMul", {y, weight("zero", changed(2, [](float, size_t) { return 0.f; }))});
  y = n.node("MatMul", {y, weight("tenth", changed(3, [](float v, size_t i) { return i % 10 == 3 ? v : 0.f; }))});
  y = n.node("MatMul", {y, weight("rare", changed(4, [](float v, size_t i) { return i % 700 == 600 ? v : 0.f; }))});
  y = n.node("MatMul", {y, weight("palette", changed(5, [](float v, size_t) { return std::round(v * 4) / 4; }))});
  y = n.node("MatMul", {y, weight("minus", changed(6, [](float v, size_t i) { return i % 2 != 0 ? -0.f : v; }))});
  y = n.node("MatMul", {y, weight("int8", codec_int8.encode(changed(7, [](float v, size_t i) { return i % 10 == 3 ? v : 0.f; }), 1, 0))});
  y = n.node("MatMul", {y, weight("int4", codec_int4.encode(testing::random_array({64, 64}, 8), 0, 32))});
  y = n.node("MatMul", {y, weight("half", codec_float16.encode(testing::random_array({64, 64}, 9), 0, 0))});
  n.graph.metadata["pare.recipe"] = "prune-weights{sparsity=0.9}";
  n.graph.producer = "a test";
  n.graph.doc = "said once";
  return n.finish(y);
}

TEST(Pack, EveryKindOfWeightsComesBack) {
  const Graph graph = mixed_network();
  const TemporaryFolder folder;
  for (bool mapped : {false, true}) {
    write_model(graph, folder / "a.pare", {.mapped = mapped});
    const Graph again = read_pack(folder / "a.pare");  // before inference: the very graph
    EXPECT_EQ(print(again, true), print(graph, true));
    for (size_t id = 0; id < graph.values.size(); ++id) {
      const Tensor *a = graph.values[id].constant.get(), *b = again.values[id].constant.get();
      ASSERT_EQ(a == nullptr, b == nullptr);
      if (a == nullptr) continue;
      ASSERT_EQ(a->parts.size(), b->parts.size());
      EXPECT_EQ(a->codec, b->codec);
      for (size_t k = 0; k < a->parts.size(); ++k) EXPECT_TRUE(a->parts[k].same_as(b->parts[k])) << graph.values[id].name;
    }
  }
}

int64_t packed_bytes(const Array& weight) {
  testing::Network n;
  const ValueId y = n.node("MatMul", {n.input("x", {1, weight.dim(0)}), n.graph.add_constant("w", weight)});
  const TemporaryFolder folder;
  write_model(n.finish(y), folder / "a.pare");
  return artifact_bytes(folder / "a.pare");
}

// From both sides: not above the entropy of what is stored by more than a tenth and the graph's few hundred bytes, and
// not below it, which no lossless coding reaches.
TEST(Pack, SizesComeNearTheEntropy) {
  const int64_t count = 256 * 256;
  Random random(5);
  Array sparse(Type::i8, {256, 256}), shared(Type::f32, {256, 256});
  std::map<int, int64_t> seen;
  for (int8_t& v : sparse.mutable_values<int8_t>()) {
    v = random.uniform() < 0.9 ? 0 : int8_t(std::clamp(std::nearbyint(30 * random.normal()), -127.0, 127.0));
    ++seen[v];
  }
  double entropy = 0;
  for (const auto& [value, times] : seen) entropy -= double(times) * std::log2(double(times) / double(count));
  for (float& v : shared.mutable_values<float>()) v = float(int(random.uniform() * 16)) * 0.37f;
  EXPECT_LT(packed_bytes(sparse), int64_t(1.1 * entropy / 8) + 500);
  EXPECT_GT(packed_bytes(sparse), int64_t(0.97 * entropy / 8));
  EXPECT_LT(packed_bytes(shared), count / 2 * 11 / 10 + 500) << "16 values take 4 bits each";
  EXPECT_GT(packed_bytes(shared), count / 2 * 97 / 100);
  EXPECT_LT(packed_bytes(testing::random_array({256, 256}, 3)), 4 * count) << "noise still has alike exponents";
}

TEST(Pack, MappedWeightsStayInTheFile) {
  const TemporaryFolder folder;
  write_model(mixed_network(), folder / "a.pare", {.mapped = true});
  const auto file = MappedFile::open(folder / "a.pare");
  const Graph graph = read_pack_bytes(file->bytes(), "a.pare", file);
  const Array weight = graph.constant(graph.find("dense"))->array();
  EXPECT_GE(weight.bytes(), file->bytes().data());
  EXPECT_LE(weight.bytes() + weight.size_bytes() + 64, file->bytes().data() + file->bytes().size()) << "kernels read 64 bytes behind";
  EXPECT_EQ(reinterpret_cast<uintptr_t>(weight.bytes()) % 64, 0u);
}

class BrokenPack : public ::testing::Test {
 protected:
  BrokenPack() {
    write_model(mixed_network(), folder_ / "a.pare");
    whole_ = read_text(folder_ / "a.pare");
  }
  void expect_refused(const std::string& file, const std::string& says) {
    write_text(folder_ / "b.pare", file);
    try {
      read_model(folder_ / "b.pare");
      FAIL() << "accepted: " << says;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("b.pare"), std::string::npos) << error.what();
    }
  }
  std::string with(size_t at, uint8_t value) {
    std::string file = whole_;
    file[at] = char(value);
    return file;
  }
  TemporaryFolder folder_;
  std::string whole_;
};

TEST_F(BrokenPack, SaysWhatIsWrong) {
  expect_refused(whole_.substr(0, whole_.size() - 1), "were written");
  expect_refused(whole_ + "x", "were written");
  expect_refused(whole_.substr(0, 20), "ends early");
  expect_refused(with(8, 2), "version 2");
  expect_refused(with(12, 3), "multiples of 3");
  expect_refused(with(kPackHead + 20, uint8_t(whole_[kPackHead + 20] ^ 1)), "checksum");
  expect_refused(with(24, uint8_t(whole_[24] ^ 1)), "checksum");
  expect_refused(with(whole_.size() - 1, uint8_t(whole_.back() ^ 1)), "block");
  expect_refused("\x89pare", "no format pare knows");
}

// Every byte, changed: an Error, or, in what a checksum does not cover, nothing at all.
TEST_F(BrokenPack, EveryByteIsGuarded) {
  for (size_t at = 0; at < whole_.size(); at += 1 + at / 997) {
    std::string file = with(at, uint8_t(whole_[at] ^ 0x55));
    EXPECT_THROW(read_pack_bytes(std::as_bytes(std::span(file)), "x"), Error) << "byte " << at;
  }
}

}  // namespace
}  // namespace pare
