#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/error.h"
#include "codecs/codecs.h"
#include "formats/pack/bytes.h"
#include "formats/pack/coding.h"
#include "formats/pack/pack.h"

namespace {

void read(std::span<const std::byte> bytes) {
  try {
    pare::Graph graph = pare::read_pack_bytes(bytes, "fuzz");
    pare::verify(graph);
    pare::check_constants(graph);
    for (const pare::Value& value : graph.values)
      if (value.constant != nullptr) value.constant->decode();
    pare::infer_shapes(graph);
    pare::verify(graph);
  } catch (const pare::Error&) {
  }
}

// What no fuzzer finds by itself: a head whose checksum is right, around any graph section and blocks.
std::string with_head(std::span<const std::byte> data) {
  const size_t coded = data.empty() ? 0 : size_t(data[0]) * data.size() / 256;
  pare::ByteWriter fields;
  fields.fixed32(pare::kPackVersion);
  fields.fixed32(1);
  fields.fixed64(pare::kPackHead + data.size());
  fields.fixed64(coded);
  fields.fixed64(coded);  // not compressed
  fields.fixed64(pare::pack_checksum(data.first(coded), pare::pack_checksum(std::as_bytes(std::span(fields.bytes())))));
  std::string file(pare::kPackMagic);
  file += fields.bytes();
  file.append(reinterpret_cast<const char*>(data.data()), data.size());
  return file;
}

}  // namespace

// Any bytes as a pack file, as its graph section, and as a block of weights: an Error or a sound graph, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read(bytes);
  const std::string file = with_head(bytes);
  read(std::as_bytes(std::span(file)));
  for (size_t width : {1, 4}) {
    std::vector<std::byte> out(size * 4);
    try {
      pare::decode_block(bytes, width, out, "fuzz");
    } catch (const pare::Error&) {
    }
    // What is encoded decodes to itself.
    const size_t whole = std::min<size_t>(size, 4096) / width * width;
    const std::string coded = pare::encode_block(bytes.first(whole), width);
    std::vector<std::byte> again(whole);
    pare::decode_block(std::as_bytes(std::span(coded)), width, again, "fuzz");
    if (whole > 0 && std::memcmp(again.data(), data, whole) != 0) __builtin_trap();
  }
  return 0;
}
