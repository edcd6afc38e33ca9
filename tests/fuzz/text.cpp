#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "graph/graph.h"

// Any bytes as a graph's text: an Error, or a graph whose text reads back as itself.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string once;
  try {
    once = pare::print(pare::parse({reinterpret_cast<const char*>(data), size}, "fuzz"), true);
  } catch (const pare::Error&) {
    return 0;
  }
  if (pare::print(pare::parse(once, "printed"), true) != once) __builtin_trap();
  return 0;
}
