#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "../support/decoders.h"
#include "formats/language/adapter_files.h"

namespace {

// In PEFT's layout: the configuration's text, a zero, the safetensors file.
std::vector<pare::AdapterFactors> as_peft(std::span<const std::byte> bytes) {
  const auto end = std::find(bytes.begin(), bytes.end(), std::byte(0));
  const std::string config(reinterpret_cast<const char*>(bytes.data()), size_t(end - bytes.begin()));
  const auto rest = bytes.subspan(std::min(config.size() + 1, bytes.size()));
  return pare::peft_adapters(config, pare::read_safetensors(rest, nullptr, "fuzz"), "fuzz");
}

}  // namespace

// Any bytes as adapters of a small decoder, in both layouts: an Error or a verified graph, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const pare::Graph base = pare::testing::small_decoder(pare::testing::small_shape());
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const bool gguf : {false, true}) try {
      pare::Graph graph = base;
      pare::apply_adapters(
          graph, gguf ? pare::read_gguf_adapter(pare::read_gguf_bytes(bytes, nullptr, "fuzz"), "fuzz") : as_peft(bytes),
          gguf, "fuzz");
      pare::verify(graph);
      pare::infer_shapes(graph);
    } catch (const pare::Error&) {
    }
  return 0;
}
