// Hugging Face checkpoints: config.json, tokenizer.json and tensors in one safetensors file or several with an index.
// Layout of a file: length [u64] | JSON of that length: name → dtype, shape, data_offsets | tensor bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "codecs/codecs.h"
#include "formats/adapter.h"
#include "formats/format.h"
#include "formats/language/checkpoint.h"

namespace pare {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kMostHeader = 100'000'000;  // the format's own limit
constexpr std::string_view kIndexEnding = ".safetensors.index.json";

struct DataType {
  const char* name;
  Type type;
};
constexpr DataType kDataTypes[] = {{"F32", Type::f32}, {"F16", Type::f16}, {"BF16", Type::bf16}};

bool detect(const std::string& path, std::span<const std::byte> head) {
  if (path.ends_with(kIndexEnding)) return true;
  uint64_t length = 0;
  if (head.size() < 10) return false;
  std::memcpy(&length, head.data(), 8);
  return length >= 2 && length <= kMostHeader && head[8] == std::byte('{') &&
         (head[9] == std::byte('"') || head[9] == std::byte('}') || head[9] == std::byte(' '));
}

// A tensor in the mapped file.
Tensor tensor_of(const std::shared_ptr<const void>& owner, const json& entry, std::span<const std::byte> data,
                 const std::string& where) {
  const std::string type = entry.value("dtype", "");
  const auto row = std::find_if(std::begin(kDataTypes), std::end(kDataTypes),
                                [&](const DataType& candidate) { return type == candidate.name; });
  if (row == std::end(kDataTypes))
    throw Error(where, "is of type " + type + ", pare reads F32, F16 and BF16",
                "take the checkpoint before it was quantized");
  Dims dims;
  for (const json& extent : entry.at("shape")) {
    if (!extent.is_number_integer() || extent < 0)
      throw Error(where, "has a shape of " + entry.at("shape").dump().substr(0, 60));
    dims.push_back(extent.get<int64_t>());
  }
  const json& offsets = entry.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned())
    throw Error(where, "has no offsets");
  const uint64_t begin = offsets[0], end = offsets[1],
                 size = uint64_t(count_of(dims, where)) * uint64_t(type_bits(row->type) / 8);
  if (begin > end || end > data.size() || end - begin != size)
    throw Error(where, fmt::format("lies at {} to {} of {} bytes, its shape takes {}", begin, end, data.size(), size),
                "the file is damaged or cut short: download it again");
  Array array = Array::in_file(row->type, dims, owner, data.data() + begin, size_t(size));
  if (row->type == Type::f32) return Tensor(std::move(array));
  Tensor half;
  half.type = Type::f32;
  half.dims = std::move(dims);
  half.codec = row->type == Type::f16 ? &codec_float16 : &codec_bfloat16;
  half.parts = {std::move(array)};
  return half;
}

using TensorMap = std::map<std::string, TensorPtr>;

// The files of a checkpoint: itself, or those its index names.
std::vector<std::string> tensor_files(const std::string& path) {
  if (!path.ends_with(kIndexEnding)) return {path};
  const json index = sound_json(read_text(path), path);
  std::vector<std::string> names;
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object()) throw Error(path, "has no weight_map");
  for (const json& name : *map) {
    // A name is a file of this folder and of no other.
    if (!name.is_string() || fs::path(name.get<std::string>()).filename() != name.get<std::string>())
      throw Error(path, "names the file " + name.dump().substr(0, 80) + ", expected one in its own folder");
    if (std::find(names.begin(), names.end(), name.get<std::string>()) == names.end())
      names.push_back(name.get<std::string>());
  }
  for (std::string& name : names) name = (fs::path(path).parent_path() / name).string();
  return names;
}

std::string beside(const std::string& path, const char* name) {
  return (fs::path(path).parent_path() / name).string();
}

// Texts of the folder that travel with the model.
constexpr const char* kTexts[] = {kConfigKey,
                                  kTokenizerKey,
                                  "tokenizer_config.json",
                                  "generation_config.json",
                                  "chat_template.jinja",
                                  "special_tokens_map.json"};

Graph read(const std::string& path) {
  if (is_adapter_file(path)) throw Error(path, "holds a model's adapters, not the model", "name both: MODEL+" + path);
  const std::string config = beside(path, kConfigKey);
  if (!fs::exists(config))
    throw Error(path, "holds weights without a graph, and there is no config.json beside it that says what they are",
                "keep the files of the checkpoint together; other models are read as ONNX");
  const DecoderShape shape = shape_from_config(sound_json(read_text(config), config), config);
  TensorMap tensors;
  for (const std::string& name : tensor_files(path)) {
    const auto file = MappedFile::open(name);
    tensors.merge(read_safetensors(file->bytes(), file, name));
  }
  for (const auto& [name, tensor] : tensors) {
    // Old checkpoints store the frequencies, which follow from the configuration.
    if (!place_of(name, Naming::hf) && !name.ends_with("rotary_emb.inv_freq"))
      throw Error(path, "tensor '" + name + "' has no place in a model of type " + shape.family->hf_type);
  }
  const TensorSource source = [&](std::string_view role, int64_t layer) -> TensorPtr {
    const auto found = tensors.find(tensor_name(role, layer, Naming::hf));
    return found == tensors.end() ? nullptr : found->second;
  };
  Graph graph = build_decoder(shape, source, path);
  for (const char* name : kTexts)
    if (fs::exists(beside(path, name))) graph.metadata[name] = read_text(beside(path, name));
  return graph;
}

// 16-bit weights stay; whatever else is encoded is written as the floats it stands for.
Array stored(const Tensor& tensor) {
  if (tensor.plain() || (tensor.codec != &codec_float16 && tensor.codec != &codec_bfloat16)) return tensor.decode();
  return tensor.parts[0];
}

Type stored_type(const Tensor& tensor) {
  return tensor.codec == &codec_float16 ? Type::f16 : tensor.codec == &codec_bfloat16 ? Type::bf16 : Type::f32;
}

void write(const Graph& graph, const std::string& path, const WriteOptions&) {
  if (has_adapters(graph)) return write_adapter_file(graph, path);
  const DecoderShape shape = shape_of_graph(graph, path);
  const std::vector<NamedTensor> tensors = named_tensors(graph, shape, Naming::hf, false, path);
  write_safetensors(tensors, path);
  json config = config_of(shape);
  if (const auto kept = graph.metadata.find(kConfigKey); kept != graph.metadata.end()) {
    json original = json::parse(kept->second);
    original.update(config);
    config = std::move(original);
  }
  const bool tied =
      std::none_of(tensors.begin(), tensors.end(), [](const NamedTensor& named) { return named.role == "head"; });
  config["tie_word_embeddings"] = tied;
  config["torch_dtype"] = tensors.empty() || stored_type(*tensors[0].tensor) == Type::f32 ? "float32"
                          : stored_type(*tensors[0].tensor) == Type::f16                  ? "float16"
                                                                                          : "bfloat16";
  write_text(beside(path, kConfigKey), config.dump(1) + "\n");
  for (const char* name : kTexts)
    if (const auto text = graph.metadata.find(name);
        text != graph.metadata.end() && std::string_view(name) != kConfigKey)
      write_text(beside(path, name), text->second);
}

std::vector<std::string> side_files(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& file : tensor_files(path))
    if (file != path) names.push_back(fs::path(file).filename().string());
  return names;
}

}  // namespace

json sound_json(std::string_view text, const std::string& where) {
  // Nesting is bounded because nothing in these files nests; the parser itself recurses into hostile ones.
  int depth = 0;
  bool shallow = true;
  json value = json::parse(
      text,
      [&](int at, json::parse_event_t, json&) {
        depth = std::max(depth, at);
        shallow &= at < 64;
        return shallow;
      },
      false);
  if (value.is_discarded() || !shallow)
    throw Error(where, "is no sound JSON", "the file is damaged: download it again");
  return value;
}

void write_safetensors(const std::vector<NamedTensor>& tensors, const std::string& path) {
  json header{{"__metadata__", {{"format", "pt"}}}};
  uint64_t end = 0;
  for (const NamedTensor& named : tensors) {
    const Type type = stored_type(*named.tensor);
    const uint64_t size = uint64_t(named.tensor->count()) * uint64_t(type_bits(type) / 8);
    const auto row = std::find_if(std::begin(kDataTypes), std::end(kDataTypes),
                                  [&](const DataType& candidate) { return candidate.type == type; });
    header[named.name] = {{"dtype", row->name}, {"shape", named.tensor->dims}, {"data_offsets", {end, end + size}}};
    end += size;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  write_file(path, [&](std::ostream& out) {
    out.write(reinterpret_cast<const char*>(&length), 8);
    out.write(text.data(), std::streamsize(text.size()));
    for (const NamedTensor& named : tensors) {
      const Array bytes = stored(*named.tensor);
      out.write(reinterpret_cast<const char*>(bytes.bytes()), std::streamsize(bytes.size_bytes()));
    }
  });
}

TensorMap read_safetensors(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                           const std::string& path) {
  TensorMap tensors;
  uint64_t length = 0;
  if (bytes.size() < 8) throw Error(path, "is too short for a safetensors file");
  std::memcpy(&length, bytes.data(), 8);
  if (length > kMostHeader || length > bytes.size() - 8)
    throw Error(path + ": byte 0", fmt::format("says its header has {} bytes, {} are left", length, bytes.size() - 8),
                "the file is damaged or cut short: download it again");
  const json header = sound_json({reinterpret_cast<const char*>(bytes.data()) + 8, size_t(length)}, path + ": header");
  if (!header.is_object()) throw Error(path + ": header", "is no JSON object");
  const auto data = bytes.subspan(8 + size_t(length));
  try {
    for (const auto& [name, entry] : header.items())
      if (name != "__metadata__")
        tensors[name] = std::make_shared<const Tensor>(tensor_of(owner, entry, data, path + ": tensor '" + name + "'"));
  } catch (const json::exception&) {
    throw Error(path + ": header", "lacks a dtype, shape or data_offsets", "the file is damaged: download it again");
  }
  return tensors;
}

extern const Format format_safetensors;
const Format format_safetensors{
    "safetensors",
    ".safetensors",
    "Hugging Face checkpoints of language models: config.json and tokenizer.json beside it, also in shards",
    detect,
    read,
    write,
    side_files};

}  // namespace pare
