#include "formats/onnx/tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

namespace pare {
namespace {

const char* const kExportAgain = "the file is damaged or its exporter is at fault: export or download the model again";

std::shared_ptr<const MappedFile> open_beside(OnnxSource& source, const std::string& location, const std::string& where) {
  if (source.folder.empty()) throw Error(where, "keeps its data in another file, which a model in memory cannot have");
  const std::filesystem::path path(location);
  const bool escapes = path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end();
  if (location.empty() || escapes)
    throw Error(where, "names external data at '" + location + "', outside the model's folder",
                "external data must lie beside the model; pare opens nothing else");
  auto& file = source.beside[location];
  if (file == nullptr) {
    try {
      file = MappedFile::open((std::filesystem::path(source.folder) / path).string());
    } catch (const Error& error) {
      throw Error(where, "its external data cannot be read: " + error.where() + ": " + error.problem(),
                  "put the data file that came with the model beside it, under the name the model gives it");
    }
  }
  return file;
}

uint64_t number_of(const std::string& text, const std::string& key, const std::string& where) {
  uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    throw Error(where, "the external data's " + key + " is '" + text + "', expected a number of bytes", kExportAgain);
  return value;
}

// A view into the mapped file where that is as good as memory of our own: aligned for every kernel, and with the 64
// bytes behind it readable (the last page of a mapping is whole).
bool can_view(const MappedFile& file, uint64_t offset, uint64_t size) {
  constexpr uint64_t kPage = 4096, kSlack = 64;
  const uint64_t mapped = (file.bytes().size() + kPage - 1) / kPage * kPage;
  return offset % 64 == 0 && offset + size + kSlack <= mapped;
}

Array read_external(const onnx::TensorProto& tensor, OnnxSource& source, Type type, Dims dims, uint64_t expected,
                    const std::string& where) {
  std::string location;
  uint64_t offset = 0, length = expected;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number_of(entry.value(), "offset", where);
    if (entry.key() == "length") length = number_of(entry.value(), "length", where);
  }
  const auto file = open_beside(source, location, where);
  const uint64_t size = file->bytes().size();
  if (length != expected)
    throw Error(where, fmt::format("the external data has {} bytes, {} of {} need {}", length, dims_text(dims),
                                   type_text(type), expected), kExportAgain);
  if (offset > size || length > size - offset)
    throw Error(where, fmt::format("the external data is bytes {} to {} of '{}', which has {}", offset, offset + length,
                                   location, size), "the data file is cut short or belongs to another model: get it again");
  const std::byte* bytes = file->bytes().data() + offset;
  if (type != Type::boolean && can_view(*file, offset, length)) return {type, std::move(dims), file, bytes, size_t(length)};
  Array array(type, std::move(dims));
  if (length > 0) std::memcpy(array.mutable_bytes(), bytes, length);
  return array;
}

template <class Stored, class Field>
void copy_field(const Field& field, Array& array) {
  auto* out = reinterpret_cast<Stored*>(array.mutable_bytes());
  for (int i = 0; i < field.size(); ++i) out[i] = static_cast<Stored>(field[i]);
}

// How many entries of which typed field `count` elements take, and the copy. The rest of TensorProto's rules for typed
// data are in onnx.proto.
struct TypedField {
  const char* name;
  int entries;        // present in the message
  uint64_t expected;
  void (*copy)(const onnx::TensorProto&, Array&);
};

TypedField typed_field(const onnx::TensorProto& t, Type type, uint64_t count) {
  using Proto = onnx::TensorProto;
  const uint64_t bytes = (count * uint64_t(type_bits(type)) + 7) / 8;
  switch (type) {
    case Type::f32: case Type::c64:
      return {"float_data", t.float_data_size(), bytes / 4, [](const Proto& p, Array& a) { copy_field<float>(p.float_data(), a); }};
    case Type::f64: case Type::c128:
      return {"double_data", t.double_data_size(), bytes / 8, [](const Proto& p, Array& a) { copy_field<double>(p.double_data(), a); }};
    case Type::i64:
      return {"int64_data", t.int64_data_size(), count, [](const Proto& p, Array& a) { copy_field<int64_t>(p.int64_data(), a); }};
    case Type::u64:
      return {"uint64_data", t.uint64_data_size(), count, [](const Proto& p, Array& a) { copy_field<uint64_t>(p.uint64_data(), a); }};
    case Type::u32:
      return {"uint64_data", t.uint64_data_size(), count, [](const Proto& p, Array& a) { copy_field<uint32_t>(p.uint64_data(), a); }};
    case Type::i32:
      return {"int32_data", t.int32_data_size(), count, [](const Proto& p, Array& a) { copy_field<int32_t>(p.int32_data(), a); }};
    case Type::i16: case Type::u16: case Type::f16: case Type::bf16:
      return {"int32_data", t.int32_data_size(), count, [](const Proto& p, Array& a) { copy_field<uint16_t>(p.int32_data(), a); }};
    default:  // bytes, and packed bytes below 8 bits
      return {"int32_data", t.int32_data_size(), bytes, [](const Proto& p, Array& a) { copy_field<uint8_t>(p.int32_data(), a); }};
  }
}

int typed_entries(const onnx::TensorProto& t) {
  return t.float_data_size() + t.int32_data_size() + t.string_data_size() + t.int64_data_size() + t.double_data_size() +
         t.uint64_data_size();
}

Array read_strings(const onnx::TensorProto& tensor, Dims dims, const std::string& where) {
  const int64_t count = count_of(dims, where);
  if (tensor.string_data_size() != count)
    throw Error(where, fmt::format("has {} strings, {} needs {}", tensor.string_data_size(), dims_text(dims), count), kExportAgain);
  return string_array(std::move(dims), {tensor.string_data().begin(), tensor.string_data().end()});
}

Array read_raw(std::span<const std::byte> raw, const std::shared_ptr<const MappedFile>& file, Type type, Dims dims,
               uint64_t expected, const std::string& where) {
  if (raw.size() != expected)
    throw Error(where, fmt::format("has {} bytes of raw data, {} of {} need {}", raw.size(), dims_text(dims), type_text(type),
                                   expected), kExportAgain);
  if (file != nullptr && type != Type::boolean) return Array::in_file(type, std::move(dims), file, raw.data(), raw.size());
  Array array(type, std::move(dims));
  if (!raw.empty()) std::memcpy(array.mutable_bytes(), raw.data(), raw.size());
  return array;
}

Array read_typed(const onnx::TensorProto& tensor, Type type, Dims dims, const std::string& where) {
  const TypedField field = typed_field(tensor, type, uint64_t(count_of(dims, where)));
  if (uint64_t(field.entries) != field.expected || typed_entries(tensor) != field.entries)
    throw Error(where, fmt::format("{} of {} need {} entries of {} and nothing else; the file has {} there and {} in all typed fields",
                                   dims_text(dims), type_text(type), field.expected, field.name, field.entries,
                                   typed_entries(tensor)), kExportAgain);
  Array array(type, std::move(dims));
  field.copy(tensor, array);
  return array;
}

// Bool arrays hold 0 or 1: a byte 2 from a file would be undefined behaviour where it is read as bool.
void make_bools_clean(Array& array) {
  if (array.type() != Type::boolean) return;
  std::byte* bytes = array.mutable_bytes();
  for (size_t i = 0; i < array.size_bytes(); ++i) bytes[i] = bytes[i] == std::byte(0) ? std::byte(0) : std::byte(1);
}

}  // namespace

Array read_tensor(onnx::TensorProto& tensor, OnnxSource& source, const std::string& where, std::span<const std::byte> lifted) {
  const auto type = type_of_number(tensor.data_type());
  if (!type)
    throw Error(where, fmt::format("has element type number {}, which pare does not know", tensor.data_type()),
                "convert the model to a type of ONNX's IR version 13 or below");
  if (tensor.has_segment()) throw Error(where, "is a segment of a tensor, which no runtime reads", kExportAgain);
  Dims dims(tensor.dims().begin(), tensor.dims().end());
  const uint64_t count = uint64_t(count_of(dims, where));
  const uint64_t expected = (count * uint64_t(type_bits(*type)) + 7) / 8;
  const bool external = tensor.data_location() == onnx::TensorProto::EXTERNAL;
  const bool raw = !tensor.raw_data().empty() || !lifted.empty(), typed = typed_entries(tensor) > 0;
  if (int(external) + int(raw) + int(typed) > 1)
    throw Error(where, "has its data twice (raw, typed or external), expected once", kExportAgain);
  if (*type == Type::string && (external || raw))
    throw Error(where, "has strings as raw data, expected them in string_data", kExportAgain);
  Array array;
  if (external) {
    array = read_external(tensor, source, *type, std::move(dims), expected, where);
  } else if (!raw && !typed && count > 0) {
    throw Error(where, fmt::format("has no data, {} of {} need {} bytes", dims_text(dims), type_text(*type), expected), kExportAgain);
  } else if (*type == Type::string) {
    array = read_strings(tensor, std::move(dims), where);
  } else if (raw || count == 0) {
    array = lifted.empty() ? read_raw(std::as_bytes(std::span(tensor.raw_data())), nullptr, *type, std::move(dims), expected, where)
                           : read_raw(lifted, source.file, *type, std::move(dims), expected, where);
  } else {
    array = read_typed(tensor, *type, std::move(dims), where);
  }
  make_bools_clean(array);
  delete tensor.release_raw_data();
  return array;
}

Array read_sparse(onnx::SparseTensorProto& tensor, OnnxSource& source, const std::string& where) {
  const Array values = read_tensor(*tensor.mutable_values(), source, where + " values");
  const Array indices = read_tensor(*tensor.mutable_indices(), source, where + " indices");
  Dims dims(tensor.dims().begin(), tensor.dims().end());
  const int64_t count = count_of(dims, where), stored = values.count(), rank = int64_t(dims.size());
  const bool linear = indices.rank() == 1;
  if (indices.type() != Type::i64 || values.rank() != 1 || indices.rank() < 1 || indices.rank() > 2 ||
      indices.dim(0) != stored || (!linear && indices.dim(1) != rank))
    throw Error(where, fmt::format("a sparse tensor of {} has values {} and indices {} ({}), expected n values and n or n x {} int64 indices",
                                   dims_text(dims), dims_text(values.dims()), dims_text(indices.dims()),
                                   type_text(indices.type()), rank), kExportAgain);
  const int bits = type_bits(values.type());
  if (bits < 8) throw Error(where, "sparse tensors of " + std::string(type_text(values.type())) + " are not supported");
  // A few stored bytes may not make us allocate gigabytes; no real layer is sparser than one in a thousand.
  const int64_t width = bits / 8, most = std::max<int64_t>(int64_t(16) << 20, 1000 * stored * width);
  if (count > most / width)
    throw Error(where, fmt::format("{} with {} stored values is absurdly sparse", dims_text(dims), stored));
  Array dense(values.type(), dims);
  std::byte* out = dense.mutable_bytes();
  const auto index = indices.values<int64_t>();
  for (int64_t i = 0; i < stored; ++i) {
    int64_t at = linear ? index[i] : 0;
    bool inside = at >= 0 && at < count;
    for (int64_t k = 0; !linear && k < rank; ++k) {
      const int64_t step = index[i * rank + k];
      inside = inside && step >= 0 && step < dims[k];
      if (inside) at = at * dims[k] + step;
    }
    if (!inside) throw Error(where, fmt::format("index {} of the sparse tensor lies outside {}", i, dims_text(dims)), kExportAgain);
    std::memcpy(out + at * width, values.bytes() + i * width, size_t(width));
  }
  return dense;
}

Array string_array(Dims dims, const std::vector<std::string>& strings) {
  PARE_CHECK(count_of(dims) == int64_t(strings.size()));
  auto bytes = std::make_shared<std::vector<std::byte>>();
  for (const std::string& text : strings) {
    const uint32_t length = uint32_t(text.size());
    const size_t at = bytes->size();
    bytes->resize(at + 4 + text.size());
    std::memcpy(bytes->data() + at, &length, 4);
    if (length > 0) std::memcpy(bytes->data() + at + 4, text.data(), length);
  }
  const std::byte* data = bytes->data();
  const size_t size = bytes->size();
  return {Type::string, std::move(dims), std::move(bytes), data, size};
}

std::vector<std::string> strings_of(const Array& array) {
  std::vector<std::string> strings;
  size_t at = 0;
  for (int64_t i = 0; i < array.count(); ++i) {
    uint32_t length = 0;
    PARE_CHECK(at + 4 <= array.size_bytes());
    std::memcpy(&length, array.bytes() + at, 4);
    PARE_CHECK(length <= array.size_bytes() - at - 4);
    strings.emplace_back(reinterpret_cast<const char*>(array.bytes()) + at + 4, length);
    at += 4 + length;
  }
  return strings;
}

}  // namespace pare
