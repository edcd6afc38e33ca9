#pragma once
#include <string>
#include <string_view>

namespace pare {

bool is_utf8(std::string_view text);
// Every maximal ill-formed part becomes one U+FFFD (Unicode 15, section 3.9, table 3-8), as other decoders do.
std::string to_utf8(std::string_view bytes);

}  // namespace pare
