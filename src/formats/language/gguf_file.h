#pragma once
// The container: typed metadata, then tensors. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/array.h"
#include "base/files.h"

namespace pare {

// A metadata value with its type, as JSON of one key: {"u32": 5}, {"str": "llama"}, {"[f32]": [0.5]}. Strings that are not
// UTF-8 become {"hex": "ff00"} in their place.
using GgufMetadata = std::vector<std::pair<std::string, nlohmann::json>>;

struct GgufTensor {
  std::string name;
  uint32_t type = 0;                 // ggml's number
  Dims dims;                         // row major: the reverse of the file's order
  std::span<const std::byte> bytes;  // in the mapped file
};

struct GgufFile {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::shared_ptr<const void> owner;   // of the bytes
  const nlohmann::json* find(const std::string& key) const;   // the value without its type; null if there is none
};

// Versions 2 and 3, little endian. Throws Error (path, byte) for anything that does not fit.
GgufFile read_gguf_file(const std::string& path);
GgufFile read_gguf_bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& where);
bool looks_like_gguf(std::span<const std::byte> head);

// Version 3. The bytes of a tensor are asked for when they are written, one tensor at a time.
struct GgufOutput {
  std::string name;
  uint32_t type = 0;
  Dims dims;
  std::function<Array()> bytes;      // u8
  int64_t size_bytes = 0;
};
void write_gguf_file(const std::string& path, GgufMetadata metadata, const std::vector<GgufOutput>& tensors);

// Elements and bytes of a block of a ggml type; {0, 0} where pare does not know it.
struct GgmlBlock {
  int64_t elements = 0, bytes = 0;
};
GgmlBlock ggml_block(uint32_t type);
std::string ggml_type_name(uint32_t type);
constexpr uint32_t kGgmlF32 = 0, kGgmlF16 = 1, kGgmlBF16 = 30;

}  // namespace pare
