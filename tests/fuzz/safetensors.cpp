#include <cstddef>
#include <cstdint>

#include "formats/language/checkpoint.h"

// Any bytes as a safetensors file, every tensor decoded: an Error or tensors within the bytes, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& [name, tensor] : pare::read_safetensors(std::as_bytes(std::span(data, size)), nullptr, "fuzz"))
      if (tensor->count() < (1 << 16)) tensor->decode();
  } catch (const pare::Error&) {
  }
  return 0;
}
