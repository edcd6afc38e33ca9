// Adapters between files and graphs: names, and the order of rows.
#include <algorithm>
#include <filesystem>

#include "formats/language/adapter_files.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

bool is_gguf(const std::string& path) {
  const auto file = MappedFile::open(path);
  return looks_like_gguf(file->bytes().first(std::min<size_t>(file->bytes().size(), 64)));
}

// The rows of B for queries and keys lie as those of the layer's weight.
void turn_rows(AdapterFactors& values, const DecoderShape& shape, bool to_neighbours, const std::string& where) {
  const auto place = place_of(values.layer + ".weight", Naming::hf);
  if (place && is_turned(place->row->role))
    values.b = with_turned_rows(Tensor(values.b), shape.head_size, to_neighbours, where + ": " + values.layer)->array();
}

}  // namespace

bool is_decoder(const Graph& graph) {
  return graph.metadata.count(kConfigKey) != 0 || graph.metadata.count(kGgufKey) != 0;
}

std::string adapter_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) ? (fs::path(path) / "adapter_model.safetensors").string() : path;
}

bool is_adapter_file(const std::string& path) {
  std::error_code ignored;
  const fs::path file = adapter_file(path), folder = file.parent_path();
  if (!fs::is_regular_file(file, ignored)) return false;
  if (is_gguf(file.string())) return is_gguf_adapter(read_gguf_file(file.string()));
  return fs::exists(folder / "adapter_config.json", ignored) && !fs::exists(folder / kConfigKey, ignored);
}

void apply_adapters(Graph& graph, std::vector<AdapterFactors> adapters, bool gguf, const std::string& path) {
  std::map<std::string, AdaptableLayer> layers;
  for (AdaptableLayer& layer : adaptable_layers(graph)) layers.emplace(layer.name, std::move(layer));
  const DecoderShape shape = is_decoder(graph) ? shape_of_graph(graph, path) : DecoderShape();
  const bool neighbours = gguf && shape.family != nullptr && shape.family->gguf_interleaved;
  for (AdapterFactors& values : adapters) {
    const auto layer = layers.find(values.layer);
    if (layer == layers.end())
      throw Error(path, "adapts the layer '" + values.layer + "', which the model does not have or has adapted already",
                  "take the model that the adapter was trained on");
    if (shape.interleaved != neighbours) turn_rows(values, shape, shape.interleaved, path);
    add_adapter(graph, layer->second, values);
  }
  graph.sort();
}

void apply_adapter_file(Graph& graph, const std::string& given) {
  const std::string path = adapter_file(given);
  const bool gguf = is_gguf(path);
  apply_adapters(graph, gguf ? read_gguf_adapter(read_gguf_file(path), path) : read_peft(path), gguf, path);
}

void write_adapter_file(const Graph& graph, const std::string& path) {
  std::vector<AdapterFactors> adapters;
  for (Adapter& adapter : find_adapters(graph)) adapters.push_back(std::move(adapter.values));
  if (adapters.empty())
    throw Error(path, "the model's adapters were changed by a later pass and cannot be told from its layers any more",
                "merge them first (merge-lora), or write .onnx or .pare");
  const bool gguf = fs::path(path).extension() == ".gguf";
  if (is_decoder(graph)) {
    const DecoderShape shape = shape_of_graph(graph, path);
    const bool neighbours = gguf && shape.family->gguf_interleaved;
    const auto numbers = layer_numbers(graph);
    for (AdapterFactors& values : adapters) {
      if (shape.interleaved != neighbours) turn_rows(values, shape, neighbours, path);
      const auto place = place_of(values.layer + ".weight", Naming::hf);
      if (!place || place->layer < 0) continue;
      const std::string weight = tensor_name(place->row->role, numbers.at(place->layer), Naming::hf);
      values.layer = weight.substr(0, weight.rfind('.'));
    }
  }
  (gguf ? write_gguf_adapter : write_peft)(graph, adapters, path);
}

}  // namespace pare
