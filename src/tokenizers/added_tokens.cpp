#include "tokenizers/added_tokens.h"

#include <algorithm>

#include "tokenizers/unicode.h"

namespace pare {
namespace {

// The start of the character that ends before `end`.
size_t character_before(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && (uint8_t(text[end]) & 0xC0) == 0x80);
  return end;
}

bool word_before(std::string_view text, size_t end) {
  if (end == 0) return false;
  size_t at = character_before(text, end);
  return is_word(next_character(text, at));
}

bool word_at(std::string_view text, size_t at) {
  return at < text.size() && is_word(next_character(text, at));
}

size_t without_spaces_before(std::string_view text, size_t end) {
  while (end > 0) {
    size_t start = character_before(text, end), at = start;
    if (!is_space(next_character(text, at))) break;
    end = start;
  }
  return end;
}

size_t behind_spaces(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (!is_space(next_character(text, next))) break;
    at = next;
  }
  return at;
}

}  // namespace

void TokenFinder::add(const AddedToken& token, std::string text) {
  if (text.empty()) return;
  std::vector<Entry>& entries = by_first_byte_[uint8_t(text[0])];
  const auto place =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.text.size() < text.size(); });
  entries.insert(place, {std::move(text), token});
}

const TokenFinder::Entry* TokenFinder::at(std::string_view text, size_t position) const {
  for (const Entry& entry : by_first_byte_[uint8_t(text[position])])
    if (text.substr(position).starts_with(entry.text)) return &entry;
  return nullptr;
}

std::vector<Stretch> TokenFinder::split(std::string_view text) const {
  std::vector<Stretch> stretches;
  size_t done = 0;
  for (size_t position = 0; position < text.size();) {
    const Entry* found = at(text, position);
    if (found == nullptr) {
      ++position;
      continue;
    }
    size_t start = position, end = position + found->text.size();
    position = end;
    if (found->token.single_word && (word_before(text, start) || word_at(text, end))) continue;
    if (found->token.left_strip) start = std::max(done, without_spaces_before(text, start));
    if (found->token.right_strip) end = behind_spaces(text, end);
    if (start > done) stretches.push_back({text.substr(done, start - done)});
    stretches.push_back({text.substr(start, end - start), found->token.id});
    done = position = end;
  }
  if (done < text.size()) stretches.push_back({text.substr(done)});
  return stretches;
}

}  // namespace pare
