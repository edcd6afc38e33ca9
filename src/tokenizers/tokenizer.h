#pragma once
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pare {

// A token that is found in the text as it stands, before anything else happens to it.
struct AddedToken {
  int64_t id = 0;
  std::string text;
  bool special = false;                          // left out when decoding
  bool single_word = false;                      // only where no letter or digit touches it
  bool left_strip = false, right_strip = false;  // white space beside it belongs to it
  bool normalized = false;                       // sought in the normalized text
};

// What makes up a tokenizer, whatever file it came from. The steps are written as tokenizer.json writes them:
// {"type": "Digits", "individual_digits": true}; null does nothing.
struct TokenizerParts {
  std::string where;                                        // names the file in errors
  std::string model;                                        // a name of models.inc: "WordPiece", "BPE"
  std::vector<std::string> vocabulary;                      // id → token; empty where an id is not used
  std::vector<std::pair<std::string, std::string>> merges;  // BPE: the first is merged first
  std::vector<float> scores;  // BPE without merges (SentencePiece): one a token, the highest is merged first
  nlohmann::json options;     // what else the model takes: "unk_token", "byte_fallback", …
  std::vector<AddedToken> added;
  nlohmann::json normalizer, pre_tokenizer, post_processor, decoder;
  int64_t length = 0;  // tokens at most, special ones counted, as the file has it; 0: no limit
  int64_t pad_id = 0;  // the token that fills texts up to one length
};

// Reads a tokenizer.json of the Hugging Face library. Throws Error.
TokenizerParts parse_tokenizer(std::string_view json, const std::string& where);
// The pre-tokenizer that GGUF files call by a name ("smollm", "llama-bpe", …); throws Error listing what is known.
nlohmann::json named_pre_tokenizer(const std::string& name);

// Text to ids and back, exactly as the Hugging Face library does it. Const members may be called by several threads.
class Tokenizer {
 public:
  // Throws Error (parts.where) for a step that is not known, tokens outside the vocabulary, ids that clash.
  explicit Tokenizer(TokenizerParts parts);
  static Tokenizer read(const std::string& path);  // a tokenizer.json
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  // `special`: with the tokens the model expects around a text. `length`: tokens at most, special ones counted; the
  // text is cut at its end; 0 keeps all. Bytes that are not UTF-8 count as U+FFFD.
  std::vector<int64_t> encode(std::string_view text, bool special = true, int64_t length = 0) const;
  // Ids outside the vocabulary are left out. Always valid UTF-8.
  std::string decode(std::span<const int64_t> ids, bool skip_special = true) const;

  int64_t size() const;                         // of the vocabulary, added tokens included
  const std::string& token(int64_t id) const;   // "" where there is none
  int64_t id_of(std::string_view token) const;  // -1 where there is none
  int64_t length() const;                       // the file's limit, 0 where it has none
  int64_t pad_id() const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

// Decodes token by token; a character is given out when its last byte is there.
class TokenStream {
 public:
  explicit TokenStream(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  std::string next(int64_t id);  // the text that became certain, maybe none
  std::string finish();          // what is left; incomplete characters become U+FFFD

 private:
  const Tokenizer& tokenizer_;
  std::vector<int64_t> ids_;  // those of the last text given out, then those not given out yet
  size_t context_ = 0;        // how many of the first
};

}  // namespace pare
