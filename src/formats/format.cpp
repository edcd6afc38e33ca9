#include "formats/format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "codecs/codecs.h"
#include "formats/adapter.h"
#include "formats/nbits.h"
#include "formats/onnx/onnx.h"

namespace pare {
namespace {

constexpr size_t kHead = 4096;

// What a file that is none of ours most likely is: its first bytes at `offset`, and what to do with it.
struct Lookalike {
  size_t offset;
  std::string_view bytes;
  const char* what;
  const char* fix;
};
using namespace std::string_view_literals;
const Lookalike kLookalikes[] = {
    {0, "PK\x03\x04"sv, "a zip archive, as PyTorch's .pt and .pth, Keras's .keras and NumPy's .npz are",
     "a PyTorch model is exported with torch.onnx.export, a Keras model with tf2onnx"},
    {0, "PK\x05\x06"sv, "an empty zip archive", ""},
    {0, "\x80\x02"sv, "a Python pickle, as older PyTorch .pt and .pth files are",
     "export the model with torch.onnx.export"},
    {0, "\x80\x03"sv, "a Python pickle", "export the model with torch.onnx.export"},
    {0, "\x80\x04"sv, "a Python pickle", "export the model with torch.onnx.export"},
    {0, "\x80\x05"sv, "a Python pickle", "export the model with torch.onnx.export"},
    {4, "TFL3"sv, "a TensorFlow Lite model", "export the original model with tf2onnx"},
    {4, "ORTM"sv, "ONNX Runtime's own .ort format", "use the .onnx file it was made from"},
    {0, "\x89HDF"sv, "an HDF5 file, as Keras's .h5 is", "export the model with tf2onnx"},
    {0, "\x93NUMPY"sv, "a NumPy array", "this is data, name a model"},
    {0, "\x1f\x8b"sv, "a gzip archive", "unpack it first"},
    {0, "(\xb5/\xfd"sv, "a zstd archive", "unpack it first"},
    {0, "version https://git-lfs"sv, "a Git LFS pointer, not the model itself", "fetch the model with: git lfs pull"},
    {0, "<?xml"sv, "XML, as OpenVINO's model descriptions are", "use the ONNX model it was converted from"},
    {0, "<!DOCTYPE"sv, "a web page, perhaps in place of a failed download", "download the model again"},
    {0, "<html"sv, "a web page, perhaps in place of a failed download", "download the model again"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program", "name a model"},
    {0, "\x89PNG"sv, "a PNG picture", "name a model"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture", "name a model"},
};

std::string known_formats() {
  std::string text;
  for (const Format* format : formats())
    text += (text.empty() ? "" : ", ") + std::string(format->name) + " (" + format->extension + ")";
  return text;
}

std::string bytes_text(std::span<const std::byte> head) {
  std::string hex, letters;
  for (std::byte byte : head.first(std::min<size_t>(head.size(), 8))) {
    hex += fmt::format("{}{:02x}", hex.empty() ? "" : " ", unsigned(byte));
    letters += unsigned(byte) >= 32 && unsigned(byte) < 127 ? char(byte) : '.';
  }
  return hex + " \"" + letters + "\"";
}

[[noreturn]] void fail_unknown(const std::string& path, std::span<const std::byte> head) {
  const std::string known = "pare reads " + known_formats();
  if (head.empty())
    throw Error(path, "the file is empty, expected a model", "export or download the model again; " + known);
  for (const Lookalike& row : kLookalikes)
    if (head.size() >= row.offset + row.bytes.size() &&
        std::memcmp(head.data() + row.offset, row.bytes.data(), row.bytes.size()) == 0)
      throw Error(path, std::string("this looks like ") + row.what,
                  (*row.fix ? row.fix + std::string("; ") : "") + known);
  throw Error(path, "is in no format pare knows; it starts with " + bytes_text(head), known);
}

// A folder stands for the checkpoint in it.
std::string model_file(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return path;
  for (const char* name : {"model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"})
    if (const auto inside = std::filesystem::path(path) / name; std::filesystem::exists(inside, ignored))
      return inside.string();
  throw Error(path, "is a folder without model.safetensors or model.safetensors.index.json", "name the model's file");
}

// "MODEL+ADAPTER" in two; the second is empty where there is none. A file whose name holds a plus is itself.
std::pair<std::string, std::string> model_and_adapter(const std::string& given) {
  std::error_code ignored;
  const size_t plus = given.rfind('+');
  if (plus == std::string::npos || std::filesystem::exists(given, ignored)) return {given, ""};
  return {given.substr(0, plus), given.substr(plus + 1)};
}

}  // namespace

const Format& format_of_file(const std::string& given) {
  const std::string path = model_file(model_and_adapter(given).first);
  const auto file = MappedFile::open(path);
  const auto head = file->bytes().first(std::min(kHead, file->bytes().size()));
  for (const Format* format : formats())
    if (format->detect(path, head)) return *format;
  fail_unknown(path, head);
}

const Format& format_to_write(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  for (const Format* format : formats())
    if (extension == format->extension) return *format;
  throw Error(path,
              extension.empty() ? "has no extension that tells the format to write"
                                : "pare writes no '" + extension + "' files",
              "pare writes " + known_formats());
}

Graph read_model(const std::string& given) {
  const auto [model, adapter] = model_and_adapter(given);
  const std::string path = model_file(model);
  Graph graph = format_of_file(path).read(path);
  if (!adapter.empty()) apply_adapter_file(graph, adapter);
  try {
    verify(graph);  // inference relies on both
    check_constants(graph);
    fold_n_bits(graph);
    infer_shapes(graph);
    order_values(graph);  // shapes make some values constant and their nodes go
    verify(graph);
  } catch (const Error& error) {
    throw Error(path + (error.where().empty() ? "" : ": " + error.where()), error.problem(), error.fix());
  }
  return graph;
}

void write_model(const Graph& graph, const std::string& path, const WriteOptions& options) {
  format_to_write(path).write(graph, path, options);
}

std::vector<std::string> model_files(const std::string& given) {
  const auto [model, adapter] = model_and_adapter(given);
  const std::string path = model_file(model);
  const Format& format = format_of_file(path);
  std::vector<std::string> files{path};
  if (format.side_files != nullptr)
    for (const std::string& name : format.side_files(path))
      files.push_back((std::filesystem::path(path).parent_path() / name).string());
  if (!adapter.empty()) files.push_back(adapter_file(adapter));
  return files;
}

int64_t artifact_bytes(const std::string& path) {
  int64_t size = 0;
  for (const std::string& file : model_files(path)) size += file_size(file);
  return size;
}

}  // namespace pare
