#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace pare {

// Reads the character at `at` and moves behind it. Text must be valid UTF-8.
char32_t next_character(std::string_view text, size_t& at);
void append_character(std::string& text, char32_t character);
size_t character_bytes(char first);  // of valid UTF-8

// Properties of characters, of the Unicode version utf8proc knows.
bool is_space(char32_t c);        // White_Space
bool is_number(char32_t c);       // Nd, Nl, No
bool is_punctuation(char32_t c);  // P*
bool is_ascii_punctuation(char32_t c);
bool is_control(char32_t c);  // Cc, Cf, Co
bool is_accent(char32_t c);   // Mn
// A mark of any kind that Unicode got after version 8. The library whose ids BERT models were trained on does not know
// them: to it they are neither punctuation nor accent nor control.
bool is_later_mark(char32_t c);
bool is_mark(char32_t c);                              // M*
bool is_word(char32_t c);                              // letters, marks, decimal digits, connectors
void append_lowercase(std::string& text, char32_t c);  // maybe two characters

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normal_form(std::string_view text, NormalForm form);

}  // namespace pare
