#include <cstddef>
#include <cstdint>

#include "formats/language/checkpoint.h"

// Any bytes as a GGUF file, its first tensors decoded: an Error or a verified graph, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const pare::GgufFile file = pare::read_gguf_bytes(std::as_bytes(std::span(data, size)), nullptr, "fuzz");
    pare::Graph graph = pare::graph_of_gguf(file, "fuzz");
    pare::verify(graph);
    pare::infer_shapes(graph);
  } catch (const pare::Error&) {
  }
  return 0;
}
