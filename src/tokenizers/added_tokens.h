#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace pare {

// A stretch of text: an added token, or what stands between two.
struct Stretch {
  std::string_view text;
  int64_t id = -1;  // -1: text
};

// Finds tokens in text: the leftmost, of several there the longest.
class TokenFinder {
 public:
  // `text`: how the token is written in the text that will be searched.
  void add(const AddedToken& token, std::string text);
  std::vector<Stretch> split(std::string_view text) const;

 private:
  struct Entry {
    std::string text;
    AddedToken token;
  };
  const Entry* at(std::string_view text, size_t position) const;
  std::vector<Entry> by_first_byte_[256];  // the longest first
};

}  // namespace pare
