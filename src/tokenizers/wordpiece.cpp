// WordPiece (Schuster and Nakajima 2012, greedy as in BERT): the longest token that begins the word, then the longest
// that continues it; a word with a part that is no token is unknown as a whole.
#include "base/error.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace pare {
namespace {

class WordPiece : public TokenModel {
 public:
  WordPiece(const TokenizerParts& parts, const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
    const Json options = parts.options.is_object() ? parts.options : Json::object();
    const std::string unknown = text_or(options, "unk_token", "[UNK]", parts.where);
    prefix_ = text_or(options, "continuing_subword_prefix", "##", parts.where);
    unknown_ = vocabulary.find(unknown);
    if (unknown_ < 0)
      throw Error(parts.where, "the token for unknown words, \"" + unknown + "\", is not in the vocabulary");
    if (const auto most = options.find("max_input_chars_per_word"); most != options.end() && most->is_number_unsigned())
      most_characters_ = most->get<uint64_t>();
    for (const std::string& token : parts.vocabulary) longest_ = std::max(longest_, token.size());
  }

  void encode(std::string_view word, std::vector<int64_t>& ids) const override {
    size_t characters = 0;
    for (size_t at = 0; at < word.size(); ++characters) at += character_bytes(word[at]);
    if (characters > most_characters_) return ids.push_back(unknown_);
    const size_t before = ids.size();
    for (size_t start = 0; start < word.size();) {
      size_t end = word.size();
      // No token is longer than the longest: what cannot match is not tried.
      if (end - start > longest_) end = character_start(word, start + longest_);
      int64_t id = -1;
      for (; end > start; end = character_start(word, end - 1)) {
        const std::string_view part = word.substr(start, end - start);
        id = vocabulary_.find(start == 0 ? std::string(part) : prefix_ + std::string(part));
        if (id >= 0) break;
      }
      if (id < 0) {
        ids.resize(before);
        return ids.push_back(unknown_);
      }
      ids.push_back(id);
      start = end;
    }
  }

 private:
  static std::string text_or(const Json& options, const char* key, const char* otherwise, const std::string& where) {
    return options.contains(key) ? text_of(options, key, where) : otherwise;
  }
  // The start of the character that holds byte `at`, or `at` where it is one.
  static size_t character_start(std::string_view word, size_t at) {
    while (at > 0 && at < word.size() && (uint8_t(word[at]) & 0xC0) == 0x80) --at;
    return at;
  }

  const Vocabulary& vocabulary_;
  std::string prefix_;
  int64_t unknown_ = -1;
  size_t most_characters_ = 100, longest_ = 0;
};

}  // namespace

std::unique_ptr<TokenModel> make_wordpiece(const TokenizerParts& parts, const Vocabulary& vocabulary) {
  return std::make_unique<WordPiece>(parts, vocabulary);
}

}  // namespace pare
