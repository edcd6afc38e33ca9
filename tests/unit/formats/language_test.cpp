#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "formats/format.h"
#include "graph/op.h"
#include "support/decoders.h"
#include "support/places.h"

namespace pare {
namespace {

namespace fs = std::filesystem;
using testing::small_decoder;
using testing::small_shape;
using testing::token_ids;

class Language : public ::testing::Test {
 protected:
  std::string path(const char* name) const { return folder_ / name; }

  testing::TemporaryFolder folder_;
};

Array scores(const Graph& graph) { return evaluate(graph, {token_ids({3, 1, 4, 1, 5, 9, 2, 6})})[0]; }

void expect_near(const Array& a, const Array& b, double tolerance) {
  ASSERT_EQ(dims_text(a.dims()), dims_text(b.dims()));
  for (size_t i = 0; i < a.values<float>().size(); ++i) ASSERT_NEAR(a.values<float>()[i], b.values<float>()[i], tolerance) << i;
}

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(Language, EveryFamilyComputesTheSameFromBothFormats) {
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    const Graph graph = small_decoder(small_shape(family));
    write_model(graph, path("model.safetensors"));
    const Graph folder = read_model(folder_.path());
    write_model(folder, path("model.gguf"));
    const Graph gguf = read_model(path("model.gguf"));
    expect_near(scores(graph), scores(folder), 0);
    expect_near(scores(graph), scores(gguf), 1e-5);   // rows of queries and keys stand in another order
    write_model(gguf, path("model.safetensors"));     // and back
    expect_near(scores(graph), scores(read_model(path("model.safetensors"))), 1e-5);
    const Node* rotation = nullptr;
    for (const Node& node : gguf.nodes)
      if (node.is("RotaryEmbedding")) rotation = &node;
    ASSERT_NE(rotation, nullptr);
    EXPECT_EQ(rotation->integer("interleaved", 0) != 0, find_family_by_hf(family)->gguf_interleaved);
  }
}

TEST_F(Language, BlocksTravelThroughGgufByteForByte) {
  const DecoderShape shape = small_shape();
  for (const char* name : {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "iq4_nl", "float16", "bfloat16"}) {
    const Graph graph = small_decoder(shape, find_codec(name));
    write_model(graph, path("a.gguf"));
    const Graph once = read_model(path("a.gguf"));
    write_model(once, path("b.gguf"));
    EXPECT_EQ(bytes_of(path("a.gguf")), bytes_of(path("b.gguf"))) << name;
    expect_near(scores(graph), scores(once), 1e-5);
  }
}

TEST_F(Language, WhatGgufDoesNotHoldIsRefusedByName) {
  const Graph graph = small_decoder(small_shape(), find_codec("int8"));
  try {
    write_model(graph, path("a.gguf"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("int8"), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(path("a.gguf")));
}

// Whatever byte a file ends at, and whatever byte is turned: an Error or a model, never more.
TEST_F(Language, DamagedGgufFilesAreErrors) {
  write_model(small_decoder(small_shape(), find_codec("q4_0")), path("a.gguf"));
  const std::vector<char> whole = bytes_of(path("a.gguf"));
  const size_t header = 6000;
  ASSERT_GT(whole.size(), header);
  const auto try_bytes = [](const std::vector<char>& bytes) {
    try {
      const GgufFile file = read_gguf_bytes(std::as_bytes(std::span(bytes)), nullptr, "test");
      Graph graph = graph_of_gguf(file, "test");
      verify(graph);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  for (size_t size = 0; size < header; size += 7) EXPECT_FALSE(try_bytes({whole.begin(), whole.begin() + ptrdiff_t(size)})) << size;
  EXPECT_FALSE(try_bytes({whole.begin(), whole.end() - 40}));
  for (size_t at = 4; at < header; ++at)
    for (const char value : {char(0xff), char(0x7f), char(0)}) {
      std::vector<char> bytes = whole;
      bytes[at] = value;
      try_bytes(bytes);
    }
}

TEST_F(Language, ListsWithinListsEnd) {
  std::string bytes = "GGUF";
  const auto u32 = [&](uint32_t v) { bytes.append(reinterpret_cast<const char*>(&v), 4); };
  const auto u64 = [&](uint64_t v) { bytes.append(reinterpret_cast<const char*>(&v), 8); };
  u32(3), u64(0), u64(1), u64(1);
  bytes += "k";
  u32(9);
  for (int depth = 0; depth < 10000; ++depth) u32(9), u64(1);
  EXPECT_THROW(read_gguf_bytes(std::as_bytes(std::span(bytes)), nullptr, "test"), Error);
}

TEST_F(Language, DamagedSafetensorsAreErrors) {
  write_model(small_decoder(small_shape()), path("model.safetensors"));
  std::vector<char> whole = bytes_of(path("model.safetensors"));
  uint64_t length = 0;
  std::memcpy(&length, whole.data(), 8);
  const auto refuses = [&](const std::vector<char>& bytes) {
    try {
      read_safetensors(std::as_bytes(std::span(bytes)), nullptr, "test");
      return false;
    } catch (const Error&) {
      return true;
    }
  };
  for (size_t size = 0; size < 8 + length; size += 11) EXPECT_TRUE(refuses({whole.begin(), whole.begin() + ptrdiff_t(size)})) << size;
  EXPECT_TRUE(refuses({whole.begin(), whole.end() - 4}));
  std::vector<char> absurd = whole;
  std::fill_n(absurd.begin(), 8, char(0xff));
  EXPECT_TRUE(refuses(absurd));
}

TEST_F(Language, MissingPartsAreNamed) {
  write_model(small_decoder(small_shape()), path("model.safetensors"));
  const auto message = [&](const std::string& model) {
    try {
      read_model(model);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  fs::rename(path("config.json"), path("config.away"));
  EXPECT_NE(message(path("model.safetensors")).find("config.json"), std::string::npos);
  std::ofstream(path("config.json")) << R"({"model_type": "gpt_neox"})";
  EXPECT_NE(message(folder_.path()).find("gpt_neox"), std::string::npos);
  nlohmann::json config = config_of(small_shape());
  config["num_hidden_layers"] = 3;
  std::ofstream(path("config.json")) << config.dump();
  EXPECT_NE(message(folder_.path()).find("model.layers.2.input_layernorm.weight"), std::string::npos)
      << message(folder_.path());
  config["num_hidden_layers"] = int64_t(1) << 40;
  std::ofstream(path("config.json")) << config.dump();
  EXPECT_NE(message(folder_.path()).find("layers"), std::string::npos);
  fs::remove(path("model.safetensors"));
  EXPECT_NE(message(folder_.path()).find("folder"), std::string::npos);
}

TEST_F(Language, ShardsAreOneModel) {
  const Graph graph = small_decoder(small_shape());
  write_model(graph, path("model.safetensors"));
  // Both names hold all tensors; the index says where each is sought.
  fs::copy(path("model.safetensors"), path("model-00002-of-00002.safetensors"));
  fs::rename(path("model.safetensors"), path("model-00001-of-00002.safetensors"));
  std::ofstream(path("model.safetensors.index.json"))
      << R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})";
  expect_near(scores(graph), scores(read_model(folder_.path())), 0);
  std::ofstream(path("model.safetensors.index.json")) << R"({"weight_map": {"a": "../elsewhere.safetensors"}})";
  EXPECT_THROW(read_model(folder_.path()), Error);
}

// The published rule on one frequency below, between and above its limits.
TEST_F(Language, LongContextRulesOfLlama3) {
  nlohmann::json config = config_of(small_shape());
  config["rope_scaling"] = {{"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}, {"original_max_position_embeddings", 8192}};
  const DecoderShape shape = shape_from_config(config, "test");
  ASSERT_EQ(shape.frequency_factors.size(), 8u);
  EXPECT_EQ(shape.frequency_factors[0], 1.f);   // wavelength 6.3
  // 10000^(6/8) · 2π = 6283: between 2048 and 8192; (8192 / 6283 − 1) / 3 = 0.1013 of the way.
  EXPECT_NEAR(shape.frequency_factors[6], 1 / (0.1013 + (1 - 0.1013) / 8), 0.005);
  EXPECT_EQ(shape.frequency_factors[7], 8.f);   // wavelength 19869
  config["rope_scaling"]["rope_type"] = "yarn";
  EXPECT_THROW(shape_from_config(config, "test"), Error);
}

}  // namespace
}  // namespace pare
