// Adapters as llama.cpp takes them: tensors "NAME.lora_a" [rank, inputs] and "NAME.lora_b" [outputs, rank], which count
// adapter.lora.alpha / rank times.
#include <algorithm>
#include <cmath>

#include "formats/language/adapter_files.h"

namespace pare {
namespace {

using nlohmann::json;

constexpr std::string_view kA = ".lora_a", kB = ".lora_b";

std::string text_of(const GgufFile& file, const std::string& key) {
  const json* value = file.find(key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

GgufOutput output_of(const std::string& name, const Array& array) {
  return {name, kGgmlF32, array.dims(), [array] { return array; }, int64_t(array.size_bytes())};
}

}  // namespace

bool is_gguf_adapter(const GgufFile& file) {
  return text_of(file, "general.type") == "adapter";
}

std::vector<AdapterFactors> read_gguf_adapter(const GgufFile& file, const std::string& path) {
  if (!is_gguf_adapter(file) || text_of(file, "adapter.type") != "lora")
    throw Error(path, "is no LoRA adapter", "its general.type should be 'adapter' and its adapter.type 'lora'");
  const json* alpha = file.find("adapter.lora.alpha");
  std::map<std::string, AdapterFactors> layers;
  for (const GgufTensor& tensor : file.tensors) {
    const std::string weight = tensor.name.substr(0, tensor.name.size() - std::min(tensor.name.size(), kA.size()));
    const auto place = place_of(weight, Naming::gguf);
    const bool is_a = tensor.name.ends_with(kA);
    if (!place || (!is_a && !tensor.name.ends_with(kB)))
      throw Error(path, "tensor '" + tensor.name + "' has no place in an adapter",
                  "pare reads adapters of dense decoders: " + known_families());
    const std::string named = tensor_name(place->row->role, place->layer, Naming::hf),
                      layer = named.substr(0, named.rfind('.'));
    AdapterFactors& values = layers[layer];
    values.layer = layer;
    (is_a ? values.a : values.b) = gguf_tensor(file, tensor).decode().aligned().cast(Type::f32);
  }
  std::vector<AdapterFactors> adapters;
  for (auto& [layer, values] : layers) {
    if (values.a.rank() != 2 || values.b.rank() != 2 || values.a.dim(0) < 1)
      throw Error(path + ": " + layer, "lacks lora_a or lora_b", "the file is incomplete: download it again");
    if (alpha != nullptr && alpha->is_number() && alpha->get<double>() != 0)
      values.scale = alpha->get<double>() / double(values.rank());
    adapters.push_back(std::move(values));
  }
  if (adapters.empty()) throw Error(path, "holds no adapter");
  return adapters;
}

void write_gguf_adapter(const Graph& graph, const std::vector<AdapterFactors>& adapters, const std::string& path) {
  const DecoderShape shape = shape_of_graph(graph, path);
  const double alpha = adapters[0].scale * double(adapters[0].rank());
  std::vector<GgufOutput> outputs;
  for (const AdapterFactors& values : adapters) {
    const auto place = place_of(values.layer + ".weight", Naming::hf);
    if (!place)
      throw Error(path, "layer '" + values.layer + "' has no name in GGUF files", "write the adapter as .safetensors");
    // One alpha holds for all: what a layer has beyond it goes into its B.
    Array b = values.b;
    const auto factor = float(values.scale * double(values.rank()) / alpha);
    if (std::abs(factor - 1) > 1e-6f)
      for (float& x : b.mutable_values<float>()) x *= factor;
    const std::string name = tensor_name(place->row->role, place->layer, Naming::gguf);
    outputs.push_back(output_of(name + std::string(kA), values.a));
    outputs.push_back(output_of(name + std::string(kB), b));
  }
  const GgufMetadata metadata = {{"general.type", {{"str", "adapter"}}},
                                 {"general.architecture", {{"str", shape.family->gguf_name}}},
                                 {"adapter.type", {{"str", "lora"}}},
                                 {"adapter.lora.alpha", {{"f32", alpha}}},
                                 {"general.file_type", {{"u32", 0}}}};
  write_gguf_file(path, metadata, outputs);
}

}  // namespace pare
