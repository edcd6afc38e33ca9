#include <cstddef>
#include <cstdint>

#include "base/error.h"
#include "data/npy_file.h"

// Any bytes as an .npy file and as an .npz archive: an Error or an array, nothing else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const pare::Bytes file{nullptr, std::as_bytes(std::span(data, size))};
  try {
    pare::parse_npy(file, "fuzz").all();
  } catch (const pare::Error&) {
  }
  try {
    for (const pare::ZipMember& member : pare::list_zip(file, "fuzz")) {
      try {
        pare::parse_npy(pare::read_zip_member(file, member, "fuzz"), "fuzz").all();
      } catch (const pare::Error&) {
      }
    }
  } catch (const pare::Error&) {
  }
  return 0;
}
