#pragma once
#include <span>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

struct WriteOptions {
  // ONNX: tensors are moved to `<name>.data` beside the file when the whole would pass this many bytes (protobuf ends
  // at 2 GiB).
  int64_t external_above = int64_t(1900) << 20;
  bool mapped = false;  // pack: weights uncoded and aligned, so that they can stay in the mapped file
};

struct Format {
  const char* name;       // "onnx"
  const char* extension;  // ".onnx"
  const char* summary;
  bool (*detect)(const std::string& path, std::span<const std::byte> head);
  Graph (*read)(const std::string& path);
  void (*write)(const Graph& graph, const std::string& path, const WriteOptions& options);
  std::vector<std::string> (*side_files)(const std::string& path);  // files beside it that belong to it; null: none
};

std::span<const Format* const> formats();
const Format& format_of_file(const std::string& path);   // by content; throws Error listing what is known
const Format& format_to_write(const std::string& path);  // by extension
// Shapes inferred, codecs folded, verified. "MODEL+ADAPTER": with the low-rank adapters of another file beside its
// layers.
Graph read_model(const std::string& path);
void write_model(const Graph& graph, const std::string& path, const WriteOptions& options = {});
// The files that a model's name stands for: itself, those beside it that belong to it, an adapter's.
std::vector<std::string> model_files(const std::string& path);
int64_t artifact_bytes(const std::string& path);  // of all its files

}  // namespace pare
