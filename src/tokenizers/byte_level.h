#pragma once
#include <string>
#include <string_view>

namespace pare {

// GPT-2's printable names of the 256 bytes (Radford et al. 2019): bytes that print are themselves, the others follow
// from U+0100 on.
std::string to_byte_characters(std::string_view bytes);
// The reverse; false where a character names no byte.
bool from_byte_characters(std::string_view text, std::string& bytes);

}  // namespace pare
