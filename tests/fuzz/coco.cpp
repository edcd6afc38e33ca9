#include "data/coco.h"

#include <cstddef>
#include <cstdint>

#include "base/error.h"

// Any bytes as a COCO annotation file: an Error or boxes, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::vector<std::string>& classes : {std::vector<std::string>(), std::vector<std::string>{"person", "dog"}}) {
    try {
      pare::parse_coco(text, classes, "fuzz");
    } catch (const pare::Error&) {
    }
  }
  return 0;
}
