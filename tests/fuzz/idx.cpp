#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "data/idx_file.h"

// Any bytes as an IDX file, plain or gzip: an Error or exactly the bytes its header promises.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const pare::IdxFile file = pare::parse_idx({nullptr, std::as_bytes(std::span(data, size))}, "fuzz");
    if (int64_t(file.data.view.size()) != pare::count_of(file.dims)) __builtin_trap();
  } catch (const pare::Error&) {
  }
  return 0;
}
