// PEFT's layout: adapter_config.json, and beside it a safetensors file with "base_model.model.LAYER.lora_A.weight" and
// "….lora_B.weight" of every layer.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "formats/language/adapter_files.h"

namespace pare {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "base_model.model.", kA = ".lora_A.weight", kB = ".lora_B.weight";

std::string config_path(const std::string& path) {
  return (fs::path(path).parent_path() / "adapter_config.json").string();
}

std::string last_part(const std::string& layer) {
  return layer.substr(layer.rfind('.') + 1);
}

json parsed_config(std::string_view text, const std::string& name) {
  json config = sound_json(text, name);
  if (!config.is_object() || config.value("peft_type", "") != "LORA")
    throw Error(name, "is no adapter of type LORA", "pare reads LoRA adapters");
  if (config.value("use_dora", false)) throw Error(name, "says use_dora", "pare reads plain LoRA adapters");
  return config;
}

// The number a layer has in a pattern of the configuration (a layer's name or the end of one), or what holds for all.
double of_layer(const json& config, const char* pattern, const std::string& layer, double otherwise) {
  const auto found = config.find(pattern);
  if (found == config.end() || !found->is_object()) return otherwise;
  for (const auto& [key, value] : found->items())
    if (value.is_number() && (layer == key || layer.ends_with("." + key))) return value.get<double>();
  return otherwise;
}

double scale_of(const json& config, const AdapterFactors& values) {
  const double alpha = of_layer(config, "alpha_pattern", values.layer, config.value("lora_alpha", 8.0)),
               rank = double(values.rank());
  return alpha / (config.value("use_rslora", false) ? std::sqrt(rank) : rank);
}

// LAYER of a tensor's name; which of both it is. Older files name the adapter in between: "….lora_A.default.weight".
std::string layer_of(std::string name, bool& is_a, const std::string& path) {
  const std::string whole = name;
  if (const size_t at = name.rfind(".default.weight"); at != std::string::npos && at + 15 == name.size())
    name.erase(at, 8);
  is_a = name.ends_with(kA);
  if (!is_a && !name.ends_with(kB))
    throw Error(path, "tensor '" + whole + "' is no part of a LoRA adapter of a linear layer or convolution",
                "pare reads adapters without trained embeddings, biases and modules_to_save");
  name.resize(name.size() - kA.size());
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

// Short names where they mean no layer that has no adapter.
std::vector<std::string> target_modules(const Graph& graph, const std::vector<AdapterFactors>& adapters) {
  std::set<std::string> bare, targets;
  for (const AdaptableLayer& layer : adaptable_layers(graph)) bare.insert(last_part(layer.name));
  for (const AdapterFactors& values : adapters)
    targets.insert(bare.count(last_part(values.layer)) != 0 ? values.layer : last_part(values.layer));
  return {targets.begin(), targets.end()};
}

}  // namespace

std::vector<AdapterFactors> peft_adapters(std::string_view config_text, const std::map<std::string, TensorPtr>& tensors,
                                          const std::string& path) {
  std::map<std::string, AdapterFactors> layers;
  for (const auto& [name, tensor] : tensors) {
    bool is_a = false;
    const std::string layer = layer_of(name, is_a, path);
    AdapterFactors& values = layers[layer];
    values.layer = layer;
    (is_a ? values.a : values.b) = tensor->decode().aligned().cast(Type::f32);
  }
  std::vector<AdapterFactors> adapters;
  try {
    const json config = parsed_config(config_text, config_path(path));
    for (auto& [layer, values] : layers) {
      if (values.a.rank() < 2 || values.b.rank() < 2 || values.a.dim(0) < 1)
        throw Error(path + ": " + layer, "lacks lora_A or lora_B", "the file is incomplete: download it again");
      values.scale = scale_of(config, values);
      adapters.push_back(std::move(values));
    }
  } catch (const json::exception& error) {
    throw Error(config_path(path), std::string("has a setting of another kind: ") + error.what());
  }
  if (adapters.empty()) throw Error(path, "holds no adapter");
  return adapters;
}

std::vector<AdapterFactors> read_peft(const std::string& path) {
  const std::string config = config_path(path);
  std::error_code ignored;
  if (!fs::exists(config, ignored))
    throw Error(path, "is no GGUF file and has no adapter_config.json beside it",
                "keep both files of PEFT's adapter together");
  const auto file = MappedFile::open(path);
  return peft_adapters(read_text(config), read_safetensors(file->bytes(), file, path), path);
}

void write_peft(const Graph& graph, const std::vector<AdapterFactors>& adapters, const std::string& path) {
  std::error_code ignored;
  if (fs::exists(fs::path(path).parent_path() / kConfigKey, ignored))
    throw Error(path, "lies in the folder of a model, which the adapter's files would mix with",
                "give the adapter a folder of its own");
  const double alpha = adapters[0].scale * double(adapters[0].rank());
  json ranks = json::object(), alphas = json::object();
  std::vector<NamedTensor> tensors;
  for (const AdapterFactors& values : adapters) {
    if (values.rank() != adapters[0].rank()) ranks[values.layer] = values.rank();
    if (const double own = values.scale * double(values.rank()); std::abs(own - alpha) > 1e-6 * std::abs(alpha))
      alphas[values.layer] = own;
    const std::string name = std::string(kPrefix) + values.layer;
    tensors.push_back({name + std::string(kA), "", std::make_shared<const Tensor>(values.a)});
    tensors.push_back({name + std::string(kB), "", std::make_shared<const Tensor>(values.b)});
  }
  write_safetensors(tensors, path);
  const json config = {{"peft_type", "LORA"},
                       {"task_type", is_decoder(graph) ? json("CAUSAL_LM") : json()},
                       {"base_model_name_or_path", graph.name},
                       {"r", adapters[0].rank()},
                       {"lora_alpha", alpha},
                       {"rank_pattern", ranks},
                       {"alpha_pattern", alphas},
                       {"target_modules", target_modules(graph, adapters)},
                       {"lora_dropout", 0.0},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"modules_to_save", json()},
                       {"init_lora_weights", true},
                       {"inference_mode", true}};
  write_text(config_path(path), config.dump(1) + "\n");
}

}  // namespace pare
