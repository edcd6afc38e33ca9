#pragma once
// What both file formats of language models share: the configuration, and a graph's tensors by their places.
#include <map>
#include <nlohmann/json.hpp>

#include "formats/language/decoder.h"
#include "formats/language/gguf_file.h"

namespace pare {

// From a config.json. Throws Error (where) for other kinds of model and for settings that pare does not compute.
DecoderShape shape_from_config(const nlohmann::json& config, const std::string& where);
nlohmann::json config_of(const DecoderShape& shape);  // a config.json for it
// From GGUF metadata.
DecoderShape shape_from_gguf(const GgufFile& file, const std::string& where);
GgufMetadata gguf_settings_of(const DecoderShape& shape);  // general.architecture and its keys

// Under these names a graph's metadata keeps what a checkpoint says beside its tensors: the texts of a folder's files,
// or GGUF's metadata as JSON.
constexpr const char* kConfigKey = "config.json";
constexpr const char* kTokenizerKey = "tokenizer.json";
constexpr const char* kGgufKey = "gguf";

// The shape of a decoder that was read from a checkpoint and perhaps changed since: layers that passes took out are
// gone, sizes are those of the tensors. Throws Error where the graph is no such decoder.
DecoderShape shape_of_graph(const Graph& graph, const std::string& where);
// The same where kept_metadata() has been read already.
DecoderShape shape_of_graph(const Graph& graph, const GgufFile& kept, const std::string& where);
// What the graph keeps of the GGUF file it was read from; empty if that was none. Throws Error (where).
GgufFile kept_metadata(const Graph& graph, const std::string& where);
// The graph's tensors with the names of `naming`, layers numbered without gaps, in the order of the graph. Rows of
// queries and keys are in the order that `interleaved` asks for.
struct NamedTensor {
  std::string name, role;
  TensorPtr tensor;
};
std::vector<NamedTensor> named_tensors(const Graph& graph, const DecoderShape& shape, Naming naming, bool interleaved, const std::string& where);

// Layer in the graph → layer without gaps.
std::map<int64_t, int64_t> layer_numbers(const Graph& graph);
// Queries and keys, whose rows lie either way; and the rows the other way around: neighbours ← halves, or the reverse.
bool is_turned(std::string_view role);
TensorPtr with_turned_rows(const Tensor& tensor, int64_t head_size, bool to_neighbours, const std::string& where);

// The graph that a GGUF file stands for, its weights in the file's bytes.
Graph graph_of_gguf(const GgufFile& file, const std::string& where);
// One of its tensors as floats, whatever they are stored as.
Tensor gguf_tensor(const GgufFile& file, const GgufTensor& tensor);
// JSON of little depth. Throws Error (where).
nlohmann::json sound_json(std::string_view text, const std::string& where);
void write_safetensors(const std::vector<NamedTensor>& tensors, const std::string& path);
// The tensors of one safetensors file, in its bytes.
std::map<std::string, TensorPtr> read_safetensors(std::span<const std::byte> bytes,
                                                  const std::shared_ptr<const void>& owner, const std::string& where);

}  // namespace pare
