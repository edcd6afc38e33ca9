// Which bytes are text.
#include "base/utf8.h"

#include <cstdint>
#include <cstdlib>

namespace pare {
namespace {

// Length of the well-formed character at the start of `bytes`, or minus the length of the ill-formed part there.
// The allowed second bytes are those of Unicode 15, table 3-7.
int well_formed(std::string_view bytes) {
  const auto at = [&](size_t i) { return i < bytes.size() ? uint8_t(bytes[i]) : uint8_t(0); };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return -1;
  const int length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  const uint8_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const uint8_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (at(1) < least || at(1) > most) return -1;
  for (int i = 2; i < length; ++i)
    if ((at(size_t(i)) & 0xC0) != 0x80) return -i;
  return length;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const int length = well_formed(text.substr(at));
    if (length < 0) return false;
    at += size_t(length);
  }
  return true;
}

std::string to_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const int length = well_formed(bytes.substr(at));
    if (length > 0)
      text.append(bytes.substr(at, size_t(length)));
    else
      text += "\xEF\xBF\xBD";
    at += size_t(std::abs(length));
  }
  return text;
}

}  // namespace pare
