#include "tokenizers/byte_level.h"

#include <array>

#include "tokenizers/unicode.h"

namespace pare {
namespace {

bool prints(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Names {
  std::array<std::string, 256> of_byte;
  std::array<int, 512> byte_of;  // by character, -1: none
  Names() {
    byte_of.fill(-1);
    int next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const int character = prints(byte) ? byte : next++;
      append_character(of_byte[size_t(byte)], char32_t(character));
      byte_of[size_t(character)] = byte;
    }
  }
};

const Names& names() {
  static const Names table;
  return table;
}

}  // namespace

std::string to_byte_characters(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) text += names().of_byte[uint8_t(byte)];
  return text;
}

bool from_byte_characters(std::string_view text, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (c >= names().byte_of.size() || names().byte_of[c] < 0) return false;
    bytes += char(names().byte_of[c]);
  }
  return true;
}

}  // namespace pare
