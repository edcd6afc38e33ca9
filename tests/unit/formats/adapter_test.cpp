// Adapters in PEFT's layout and in GGUF files.
#include "formats/adapter.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "../../support/decoders.h"
#include "../../support/places.h"
#include "formats/format.h"
#include "graph/op.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

class AdapterFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(path("base"));
    fs::create_directory(path("adapter"));
  }
  std::string path(const char* name) const { return folder_ / name; }

  testing::TemporaryFolder folder_;
};

Graph adapted(Graph graph, bool uneven = false) {
  for (const AdaptableLayer& layer : adaptable_layers(graph)) {
    const bool wide = uneven && layer.name.ends_with("up_proj");
    const int64_t rank = wide ? 3 : 2;
    Dims a = layer.a, b = layer.b;
    a[0] = b[1] = rank;
    add_adapter(graph, layer,
                {layer.name, testing::random_array(a, uint64_t(layer.node)),
                 testing::random_array(b, uint64_t(layer.node) + 99), wide ? 0.1 : 0.5});
  }
  graph.sort();
  infer_shapes(graph);
  return graph;
}

Array scores(const Graph& graph) {
  return evaluate(graph, {testing::token_ids({3, 1, 4, 1, 5, 9, 2, 6})})[0];
}

// The same adapters on a base whose rows of queries and keys lie in the other order, through either layout.
TEST_F(AdapterFiles, ComputeTheSameOnEveryBase) {
  for (const char* family : {"llama", "qwen3"}) {
    const Graph plain = testing::small_decoder(testing::small_shape(family)), whole = adapted(plain, true);
    write_model(plain, path("base/model.safetensors"));
    write_model(plain, path("base.gguf"));
    write_model(whole, path("adapter/adapter_model.safetensors"));
    write_model(whole, path("adapter.gguf"));
    EXPECT_GT(testing::relative_error(scores(plain), scores(whole)), 0.1);
    for (const char* base : {"base", "base.gguf"})
      for (const char* adapter : {"adapter", "adapter/adapter_model.safetensors", "adapter.gguf"})
        EXPECT_LT(testing::relative_error(scores(read_model(path(base) + "+" + path(adapter))), scores(whole)), 1e-5)
            << family << " " << base << " " << adapter;
    // From GGUF's order of rows into PEFT's.
    write_model(read_model(path("base.gguf") + "+" + path("adapter.gguf")), path("adapter/again.safetensors"));
    EXPECT_LT(testing::relative_error(scores(read_model(path("base") + "+" + path("adapter/again.safetensors"))),
                                      scores(whole)),
              1e-5)
        << family;
    EXPECT_EQ(artifact_bytes(path("base.gguf") + "+" + path("adapter")),
              artifact_bytes(path("base.gguf")) + artifact_bytes(path("adapter")));
  }
}

TEST_F(AdapterFiles, HoldWhatPeftReads) {
  write_model(adapted(testing::small_decoder(testing::small_shape()), true), path("adapter/adapter_model.safetensors"));
  const auto config = nlohmann::json::parse(read_text(path("adapter/adapter_config.json")));
  EXPECT_EQ(config.at("peft_type"), "LORA");
  EXPECT_EQ(config.at("r"), 2);
  EXPECT_EQ(config.at("lora_alpha"), 1.0);
  EXPECT_EQ(config.at("rank_pattern").size(), 2u);
  EXPECT_NEAR(config.at("alpha_pattern").at("model.layers.0.mlp.up_proj").get<double>(), 0.3, 1e-7);
  EXPECT_EQ(config.at("target_modules"),
            nlohmann::json({"down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"}));
  EXPECT_NE(read_text(path("adapter/adapter_model.safetensors"))
                .find("\"base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight\""),
            std::string::npos);
}

void expect_error(const std::string& path, const std::string& words) {
  try {
    read_model(path);
    FAIL() << "no error: " << words;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST_F(AdapterFiles, SayWhatIsWrongWithThem) {
  const Graph plain = testing::small_decoder(testing::small_shape());
  write_model(plain, path("base.gguf"));
  write_model(adapted(plain), path("adapter.gguf"));
  write_model(adapted(plain), path("adapter/adapter_model.safetensors"));
  expect_error(path("adapter.gguf"), "not the model");
  expect_error(path("adapter"), "not the model");
  expect_error(path("base.gguf") + "+" + path("base.gguf"), "no LoRA adapter");
  const std::string whole = read_text(path("adapter/adapter_config.json")),
                    both = path("base.gguf") + "+" + path("adapter");
  const auto with = [&](const char* key, const nlohmann::json& value) {
    auto config = nlohmann::json::parse(whole);
    config[key] = value;
    write_text(path("adapter/adapter_config.json"), config.dump());
  };
  with("peft_type", "IA3");
  expect_error(both, "type LORA");
  with("use_dora", true);
  expect_error(both, "use_dora");
  with("lora_alpha", "much");
  expect_error(both, "another kind");
  with("r", 2);
  DecoderShape other = testing::small_shape();
  other.layers = 1;
  write_model(testing::small_decoder(other), path("small.gguf"));
  expect_error(path("small.gguf") + "+" + path("adapter"), "layers.1");
  other = testing::small_shape();
  other.inner = 64;
  write_model(testing::small_decoder(other), path("narrow.gguf"));
  expect_error(path("narrow.gguf") + "+" + path("adapter.gguf"), "the layer takes");
  fs::resize_file(path("adapter.gguf"), fs::file_size(path("adapter.gguf")) - 9);
  expect_error(path("base.gguf") + "+" + path("adapter.gguf"), "cut short");
  fs::remove(path("adapter/adapter_config.json"));
  expect_error(path("base.gguf") + "+" + path("adapter/adapter_model.safetensors"), "adapter_config.json");
}

// A root of the rank in the scale, and names that older releases wrote.
TEST_F(AdapterFiles, ScaleAsTheConfigurationSays) {
  const Graph plain = testing::small_decoder(testing::small_shape());
  write_model(plain, path("base.gguf"));
  write_model(adapted(plain), path("adapter/adapter_model.safetensors"));
  auto config = nlohmann::json::parse(read_text(path("adapter/adapter_config.json")));
  config["use_rslora"] = true;
  config["alpha_pattern"] = {{"k_proj", 5}};
  write_text(path("adapter/adapter_config.json"), config.dump());
  for (const Adapter& adapter : find_adapters(read_model(path("base.gguf") + "+" + path("adapter"))))
    EXPECT_NEAR(adapter.values.scale, (adapter.values.layer.ends_with("k_proj") ? 5 : 1) / std::sqrt(2.0), 1e-6)
        << adapter.values.layer;
}

}  // namespace
}  // namespace pare
