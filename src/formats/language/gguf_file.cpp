#include "formats/language/gguf_file.h"

#include <fmt/format.h>

#include <cmath>

#include <cstring>
#include <set>

#include "base/utf8.h"
#include "codecs/blocks.h"

namespace pare {
namespace {

using nlohmann::json;

constexpr uint32_t kBool = 7, kString = 8, kList = 9;
constexpr int kMostDims = 4;      // ggml's
constexpr int kDeepestList = 4;   // no file nests lists; a limit keeps hostile ones from using up the stack
constexpr uint64_t kAlignment = 32;

struct NumberType {
  uint32_t number;
  const char* name;
  size_t bytes;
  json (*read)(const std::byte*);
  void (*write)(const json&, std::string&);
};

template <class T>
json read_number(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <class T>
void write_number(const json& value, std::string& to) {
  const T number = value.get<T>();
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// JSON has no infinities and no NaN: such floats travel as text.
template <>
json read_number<float>(const std::byte* bytes) {
  float value;
  std::memcpy(&value, bytes, sizeof value);
  return std::isfinite(value) ? json(value) : json(fmt::format("{}", value));
}

template <>
void write_number<float>(const json& value, std::string& to) {
  const float number = value.is_string() ? std::strtof(value.get_ref<const std::string&>().c_str(), nullptr) : value.get<float>();
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

constexpr NumberType kNumbers[] = {
#define VALUE(number, name, bytes, type) {number, name, bytes, read_number<type>, write_number<type>},
#include "formats/language/gguf_types.inc"
#undef VALUE
};

const NumberType* number_type(uint32_t number) {
  for (const NumberType& row : kNumbers)
    if (row.number == number) return &row;
  return nullptr;
}

const NumberType* number_type(std::string_view name) {
  for (const NumberType& row : kNumbers)
    if (row.name == name) return &row;
  return nullptr;
}

json text_value(std::string_view text) {
  if (is_utf8(text)) return std::string(text);
  std::string hex;
  for (const char c : text) hex += fmt::format("{:02x}", uint8_t(c));
  return json{{"hex", hex}};
}

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  const std::string hex = value.at("hex").get<std::string>();
  std::string text;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) text += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return text;
}

// Takes bytes from the front; whatever is asked for is compared with what is left first.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  size_t offset() const { return offset_; }
  size_t left() const { return bytes_.size() - offset_; }
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(fmt::format("{}: byte {}", path_, offset_), problem, "the file is damaged or cut short: download or convert it again");
  }
  std::span<const std::byte> take(uint64_t count, const char* what) {
    if (count > left()) fail(fmt::format("{} of {} bytes does not fit the {} bytes that are left", what, count, left()));
    const auto part = bytes_.subspan(offset_, size_t(count));
    offset_ += size_t(count);
    return part;
  }
  template <class T>
  T number(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  std::string_view text(const char* what) {
    const auto part = take(number<uint64_t>(what), what);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  // A number of things that take at least `least` bytes each.
  uint64_t count(uint64_t least, const char* what) {
    const uint64_t n = number<uint64_t>(what);
    if (n > left() / least) fail(fmt::format("{} {} cannot lie in the {} bytes that are left", n, what, left()));
    return n;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& path_;
  size_t offset_ = 0;
};

std::pair<std::string, json> read_value(Reader& reader, uint32_t type, int depth);

std::pair<std::string, json> read_list(Reader& reader, int depth) {
  if (depth >= kDeepestList) reader.fail("lists are nested too deeply");
  const uint32_t type = reader.number<uint32_t>("an element type");
  const NumberType* row = number_type(type);
  const uint64_t count = reader.count(row ? row->bytes : type == kBool ? 1 : type == kString ? 8 : 12, "list elements");
  json list = json::array();
  std::string name = row ? row->name : type == kBool ? "bool" : type == kString ? "str" : "";
  for (uint64_t i = 0; i < count; ++i) {
    auto [inner, value] = read_value(reader, type, depth + 1);
    if (type == kList) value = json{{inner, value}};
    list.push_back(std::move(value));
  }
  return {"[" + (type == kList ? "list" : name) + "]", std::move(list)};
}

std::pair<std::string, json> read_value(Reader& reader, uint32_t type, int depth) {
  if (const NumberType* row = number_type(type)) return {row->name, row->read(reader.take(row->bytes, row->name).data())};
  if (type == kBool) return {"bool", reader.number<uint8_t>("a truth value") != 0};
  if (type == kString) return {"str", text_value(reader.text("a text"))};
  if (type == kList) return read_list(reader, depth);
  reader.fail(fmt::format("metadata type {} does not exist", type));
}

GgufTensor read_tensor_entry(Reader& reader, uint64_t& offset) {
  GgufTensor tensor;
  tensor.name = std::string(reader.text("a tensor name"));
  const uint32_t rank = reader.number<uint32_t>("a number of axes");
  if (rank > kMostDims) reader.fail(fmt::format("tensor '{}' has {} axes, at most {} are allowed", tensor.name, rank, kMostDims));
  for (uint32_t i = 0; i < rank; ++i) {
    const uint64_t extent = reader.number<uint64_t>("an extent");
    if (extent > uint64_t(1) << 48) reader.fail(fmt::format("tensor '{}' has an extent of {}", tensor.name, extent));
    tensor.dims.insert(tensor.dims.begin(), int64_t(extent));
  }
  tensor.type = reader.number<uint32_t>("a tensor type");
  offset = reader.number<uint64_t>("a tensor offset");
  return tensor;
}

// Where the tensor's bytes lie behind `data`.
void locate(GgufTensor& tensor, uint64_t offset, std::span<const std::byte> data, uint64_t alignment, const std::string& path) {
  const std::string where = path + ": tensor '" + tensor.name + "'";
  const GgmlBlock block = ggml_block(tensor.type);
  if (block.elements == 0)
    throw Error(where, "is of ggml type " + ggml_type_name(tensor.type) + ", which pare does not read", "take the file in another type, for example Q8_0 or Q4_K_M");
  const int64_t count = count_of(tensor.dims, where), row = tensor.dims.empty() ? 1 : tensor.dims.back();
  if (row % block.elements != 0) throw Error(where, fmt::format("has rows of {} values, {} holds blocks of {}", row, ggml_type_name(tensor.type), block.elements));
  const uint64_t size = uint64_t(count / block.elements) * uint64_t(block.bytes);
  if (offset % alignment != 0 || offset > data.size() || size > data.size() - offset)
    throw Error(where, fmt::format("lies at {} + {} of {} bytes of tensor data", offset, size, data.size()), "the file is damaged or cut short: download or convert it again");
  tensor.bytes = data.subspan(size_t(offset), size_t(size));
}

uint64_t alignment_of(const GgufFile& file, const std::string& path) {
  const json* given = file.find("general.alignment");
  if (given == nullptr) return kAlignment;
  const uint64_t alignment = given->is_number_unsigned() ? given->get<uint64_t>() : 0;
  if (alignment == 0 || alignment > (1 << 20) || (alignment & (alignment - 1)) != 0) throw Error(path, "general.alignment is no power of two up to a million");
  return alignment;
}

void append_text(const std::string& text, std::string& to) {
  write_number<uint64_t>(text.size(), to);
  to += text;
}

uint32_t type_number(const std::string& name) {
  if (const NumberType* row = number_type(std::string_view(name))) return row->number;
  return name == "bool" ? kBool : name == "str" ? kString : kList;
}

void append_value(const std::string& type, const json& value, std::string& to) {
  if (const NumberType* row = number_type(std::string_view(type))) return row->write(value, to);
  if (type == "bool") return to.push_back(char(value.get<bool>()));
  if (type == "str") return append_text(text_of(value), to);
  const std::string element = type.substr(1, type.size() - 2);
  write_number<uint32_t>(type_number(element), to);
  write_number<uint64_t>(value.size(), to);
  for (const json& item : value) {
    if (element == "list") append_value(item.begin().key(), item.begin().value(), to);
    else append_value(element, item, to);
  }
}

uint64_t aligned(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

std::string header_of(const GgufMetadata& metadata, const std::vector<GgufOutput>& tensors) {
  std::string header = "GGUF";
  write_number<uint32_t>(3, header);
  write_number<uint64_t>(tensors.size(), header);
  write_number<uint64_t>(metadata.size(), header);
  for (const auto& [key, typed] : metadata) {
    append_text(key, header);
    const std::string type = typed.begin().key();
    write_number<uint32_t>(type_number(type), header);
    append_value(type, typed.begin().value(), header);
  }
  uint64_t offset = 0;
  for (const GgufOutput& tensor : tensors) {
    append_text(tensor.name, header);
    write_number<uint32_t>(uint32_t(tensor.dims.size()), header);
    for (size_t i = tensor.dims.size(); i-- > 0;) write_number<uint64_t>(uint64_t(tensor.dims[i]), header);
    write_number<uint32_t>(tensor.type, header);
    write_number<uint64_t>(offset, header);
    offset = aligned(offset + uint64_t(tensor.size_bytes));
  }
  header.resize(aligned(header.size()), '\0');
  return header;
}

}  // namespace

const json* GgufFile::find(const std::string& key) const {
  for (const auto& [name, typed] : metadata)
    if (name == key) return &typed.begin().value();
  return nullptr;
}

bool looks_like_gguf(std::span<const std::byte> head) { return head.size() >= 4 && std::memcmp(head.data(), "GGUF", 4) == 0; }

GgufFile read_gguf_file(const std::string& path) {
  const auto file = MappedFile::open(path);
  const std::span<const std::byte> bytes = file->bytes();
  GgufFile result = read_gguf_bytes(bytes, file, path);
  // The tokenizer's texts are read, and copied.
  Array::in_file(Type::u8, {int64_t(bytes.size())}, file, bytes.data(), bytes.size()).give_back(0, bytes.size());
  return result;
}

GgufFile read_gguf_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& path) {
  GgufFile result;
  result.owner = std::move(owner);
  Reader reader(bytes, path);
  if (!looks_like_gguf(reader.take(4, "the magic"))) throw Error(path, "does not begin with GGUF");
  const uint32_t version = reader.number<uint32_t>("the version");
  if (version != 2 && version != 3)
    throw Error(path, version == 0x03000000 || version == 0x02000000 ? "is a big-endian GGUF file" : fmt::format("is GGUF version {}", version), "pare reads versions 2 and 3, little endian");
  const uint64_t tensors = reader.count(24, "tensors"), values = reader.count(13, "metadata values");
  std::set<std::string> names;
  for (uint64_t i = 0; i < values; ++i) {
    std::string key(reader.text("a metadata key"));
    if (!is_utf8(key) || !names.insert(key).second) reader.fail("a metadata key is no text, or there twice");
    auto [type, value] = read_value(reader, reader.number<uint32_t>("a metadata type"), 0);
    result.metadata.emplace_back(std::move(key), json{{type, std::move(value)}});
  }
  std::vector<uint64_t> offsets(static_cast<size_t>(tensors));
  names.clear();
  for (uint64_t i = 0; i < tensors; ++i) {
    result.tensors.push_back(read_tensor_entry(reader, offsets[size_t(i)]));
    if (!is_utf8(result.tensors.back().name) || !names.insert(result.tensors.back().name).second) reader.fail("a tensor name is no text, or there twice");
  }
  const uint64_t alignment = alignment_of(result, path), start = (reader.offset() + alignment - 1) / alignment * alignment;
  if (start > bytes.size() && tensors > 0) reader.fail("the file ends before its tensors");
  for (size_t i = 0; i < result.tensors.size(); ++i) locate(result.tensors[i], offsets[i], bytes.subspan(size_t(start)), alignment, path);
  return result;
}

void write_gguf_file(const std::string& path, GgufMetadata metadata, const std::vector<GgufOutput>& tensors) {
  // Tensors are laid out at the usual alignment.
  std::erase_if(metadata, [](const auto& entry) { return entry.first == "general.alignment"; });
  const std::string header = header_of(metadata, tensors);
  write_file(path, [&](std::ostream& out) {
    out.write(header.data(), std::streamsize(header.size()));
    const char zeros[kAlignment] = {};
    for (const GgufOutput& tensor : tensors) {
      const Array bytes = tensor.bytes();
      PARE_CHECK(int64_t(bytes.size_bytes()) == tensor.size_bytes);
      out.write(reinterpret_cast<const char*>(bytes.bytes()), std::streamsize(bytes.size_bytes()));
      out.write(zeros, std::streamsize(aligned(bytes.size_bytes()) - bytes.size_bytes()));
    }
  });
}

GgmlBlock ggml_block(uint32_t type) {
  if (type == kGgmlF32) return {1, 4};
  if (type == kGgmlF16 || type == kGgmlBF16) return {1, 2};
  const Codec* codec = find_block_codec(type);
  return codec ? GgmlBlock{codec->blocks->elements, codec->blocks->bytes} : GgmlBlock{};
}

std::string ggml_type_name(uint32_t type) {
  if (type == kGgmlF32) return "F32";
  if (type == kGgmlF16) return "F16";
  if (type == kGgmlBF16) return "BF16";
  const Codec* codec = find_block_codec(type);
  return codec ? codec->blocks->name : "number " + std::to_string(type);
}

}  // namespace pare
