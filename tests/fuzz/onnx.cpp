#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "formats/onnx/onnx.h"
#include "formats/onnx/wire.h"

// Any bytes as an ONNX model, as read_model takes them: an Error or a verified graph, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  pare::looks_like_onnx(bytes);
  pare::what_is_broken(bytes);
  pare::external_locations(bytes);
  try {
    pare::Graph graph = pare::read_onnx_bytes(bytes, "fuzz");
    pare::verify(graph);
    pare::infer_shapes(graph);
    pare::order_values(graph);
    pare::verify(graph);
  } catch (const pare::Error&) {
  }
  return 0;
}
