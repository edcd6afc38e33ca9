#include "formats/format.h"

namespace pare {

#define FORMAT(name) extern const Format format_##name;
#include "formats/catalog.inc"
#undef FORMAT

std::span<const Format* const> formats() {
  static const Format* const kFormats[] = {
#define FORMAT(name) &format_##name,
#include "formats/catalog.inc"
#undef FORMAT
  };
  return kFormats;
}

}  // namespace pare
