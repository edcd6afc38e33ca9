// GGUF: one file with settings, tokenizer and tensors, as llama.cpp runs them.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codecs/blocks.h"
#include "codecs/codecs.h"
#include "formats/format.h"
#include "formats/language/adapter_files.h"

namespace pare {
namespace {

using nlohmann::json;

bool detect(const std::string&, std::span<const std::byte> head) {
  return looks_like_gguf(head);
}

Array in_file(const GgufFile& file, const GgufTensor& tensor, Type type, Dims dims) {
  return Array::in_file(type, std::move(dims), file.owner, tensor.bytes.data(), tensor.bytes.size());
}

Graph read(const std::string& path) {
  const GgufFile file = read_gguf_file(path);
  if (is_gguf_adapter(file)) throw Error(path, "holds a model's adapters, not the model", "name both: MODEL+" + path);
  return graph_of_gguf(file, path);
}

// How a tensor lies in the file: matrices as their codec stores them, vectors as floats, which llama.cpp wants.
GgufOutput output_of(const NamedTensor& named, const std::string& where) {
  const TensorPtr tensor = named.tensor;
  GgufOutput output{named.name, kGgmlF32, tensor->dims, {}, 0};
  const Codec* codec = tensor->codec;
  if (tensor->dims.size() < 2 || codec == nullptr) {
    if (tensor->type != Type::f32 && tensor->plain())
      throw Error(where + ": " + named.name,
                  "is stored as " + std::string(type_text(tensor->type)) + ", GGUF wants floats here");
    output.bytes = [tensor] { return tensor->decode().aligned().cast(Type::f32); };
    output.size_bytes = tensor->count() * 4;
    return output;
  }
  if (codec->blocks != nullptr)
    output.type = codec->blocks->ggml_type;
  else if (codec == &codec_float16 || codec == &codec_bfloat16)
    output.type = codec == &codec_float16 ? kGgmlF16 : kGgmlBF16;
  else
    throw Error(where + ": " + named.name,
                std::string("is stored as ") + codec->name + ", which GGUF files do not hold",
                "use GGUF's own types, for example quantize-weights{type=q8_0}, or write .onnx");
  output.bytes = [tensor] { return tensor->parts[0]; };
  output.size_bytes = int64_t(tensor->parts[0].size_bytes());
  return output;
}

// llama_ftype of the type that most weights have; llama.cpp only shows it.
struct FileType {
  uint32_t ggml_type, file_type;
};
constexpr FileType kFileTypes[] = {{0, 0},   {1, 1},   {2, 2},   {3, 3},   {8, 7},   {6, 8},   {7, 9},
                                   {10, 10}, {11, 12}, {12, 15}, {13, 17}, {14, 18}, {20, 25}, {30, 32}};

uint32_t file_type_of(const std::vector<GgufOutput>& outputs) {
  std::map<uint32_t, int64_t> bytes;
  for (const GgufOutput& output : outputs) bytes[output.type] += output.size_bytes;
  const uint32_t most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) {
                          return a.second < b.second;
                        })->first;
  for (const FileType& row : kFileTypes)
    if (row.ggml_type == most) return row.file_type;
  return 0;
}

void set(GgufMetadata& metadata, const std::string& key, json typed) {
  for (auto& entry : metadata)
    if (entry.first == key) {
      entry.second = std::move(typed);
      return;
    }
  metadata.emplace_back(key, std::move(typed));
}

// What the file said it was made from, with the numbers that passes may have changed; or the settings of a folder's
// model.
GgufMetadata metadata_of(GgufMetadata metadata, const DecoderShape& shape) {
  for (auto& [key, value] : gguf_settings_of(shape)) {
    const bool known =
        std::any_of(metadata.begin(), metadata.end(), [&key = key](const auto& entry) { return entry.first == key; });
    if (!known || value.begin().key() == "u32") set(metadata, key, value);
  }
  return metadata;
}

void write(const Graph& graph, const std::string& path, const WriteOptions&) {
  if (has_adapters(graph)) return write_adapter_file(graph, path);
  GgufFile kept = kept_metadata(graph, path);
  const DecoderShape shape = shape_of_graph(graph, kept, path);
  std::vector<GgufOutput> outputs;
  for (const NamedTensor& tensor : named_tensors(graph, shape, Naming::gguf, shape.family->gguf_interleaved, path))
    outputs.push_back(output_of(tensor, path));
  if (!shape.frequency_factors.empty()) {
    const Array factors = Array::of<float>({int64_t(shape.frequency_factors.size())}, shape.frequency_factors);
    outputs.push_back(
        {"rope_freqs.weight", kGgmlF32, factors.dims(), [factors] { return factors; }, int64_t(factors.size_bytes())});
  }
  GgufMetadata metadata = metadata_of(std::move(kept.metadata), shape);
  set(metadata, "general.file_type", json{{"u32", file_type_of(outputs)}});
  set(metadata, "general.quantization_version", json{{"u32", 2}});
  write_gguf_file(path, std::move(metadata), outputs);
}

}  // namespace

Tensor gguf_tensor(const GgufFile& file, const GgufTensor& tensor) {
  if (tensor.type == kGgmlF32) return Tensor(in_file(file, tensor, Type::f32, tensor.dims));
  if (tensor.type != kGgmlF16 && tensor.type != kGgmlBF16)
    return block_tensor(*find_block_codec(tensor.type), tensor.dims,
                        in_file(file, tensor, Type::u8, {int64_t(tensor.bytes.size())}));
  Tensor half;
  half.type = Type::f32;
  half.dims = tensor.dims;
  half.codec = tensor.type == kGgmlF16 ? &codec_float16 : &codec_bfloat16;
  half.parts = {in_file(file, tensor, tensor.type == kGgmlF16 ? Type::f16 : Type::bf16, tensor.dims)};
  return half;
}

Graph graph_of_gguf(const GgufFile& file, const std::string& path) {
  DecoderShape shape = shape_from_gguf(file, path);
  std::map<std::string, const GgufTensor*> by_name;
  std::string unknown;
  for (const GgufTensor& tensor : file.tensors) {
    by_name[tensor.name] = &tensor;
    if (tensor.name == "rope_freqs.weight")
      shape.frequency_factors = gguf_tensor(file, tensor).decode().aligned().to_floats();
    else if (!place_of(tensor.name, Naming::gguf) && unknown.empty())
      unknown = tensor.name;
  }
  if (!unknown.empty())
    throw Error(path, "tensor '" + unknown + "' has no place in a model of architecture " + shape.family->gguf_name,
                "pare reads dense decoders: " + known_families());
  const TensorSource source = [&](std::string_view role, int64_t layer) -> TensorPtr {
    const auto found = by_name.find(tensor_name(role, layer, Naming::gguf));
    return found == by_name.end() ? nullptr : std::make_shared<const Tensor>(gguf_tensor(file, *found->second));
  };
  Graph graph = build_decoder(shape, source, path);
  // A tokenizer's hundred thousand texts are not copied into one value first.
  std::string& kept = graph.metadata[kGgufKey];
  for (const auto& [key, value] : file.metadata) kept += (kept.empty() ? "[[" : ",[") + json(key).dump() + "," + value.dump() + "]";
  kept += kept.empty() ? "[]" : "]";
  return graph;
}

extern const Format format_gguf;
const Format format_gguf{
    "gguf", ".gguf", "language models as llama.cpp runs them, versions 2 and 3; Llama, Mistral, Qwen 2 and 3",
    detect, read,    write,
    nullptr};

}  // namespace pare
