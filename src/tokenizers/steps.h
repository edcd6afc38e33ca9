#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizers/tokenizer.h"

namespace pare {

// The stages of a tokenizer, each made from its description. Every maker throws Error (where) for what it does not
// know.
using Json = nlohmann::json;

using Normalizer = std::function<std::string(std::string)>;
Normalizer make_normalizer(const Json& description, const std::string& where);

// A piece of text the model sees by itself. `first`: it begins the whole text.
struct Piece {
  std::string text;
  bool first = false;
};
using Splitter = std::function<std::vector<Piece>(std::vector<Piece>)>;
Splitter make_splitter(const Json& description, const std::string& where);

using Decoder = std::function<std::vector<std::string>(std::vector<std::string>)>;
Decoder make_decoder(const Json& description, const std::string& where);

// Ids around a text.
struct Template {
  std::vector<int64_t> before, after;
};
Template make_template(const Json& description, const std::string& where);

// Tokens of one piece.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  virtual void encode(std::string_view piece, std::vector<int64_t>& ids) const = 0;
};
// Strings to ids; the strings are the parts'.
class Vocabulary {
 public:
  explicit Vocabulary(const std::vector<std::string>& tokens);
  int64_t find(std::string_view token) const;  // -1: none
 private:
  std::unordered_map<std::string_view, int64_t> ids_;
};
struct ModelKind {
  std::string_view name;
  // Both outlive the model.
  std::unique_ptr<TokenModel> (*make)(const TokenizerParts& parts, const Vocabulary& vocabulary);
};
std::span<const ModelKind> model_kinds();  // models.inc

// --- reading descriptions ---
std::string type_of(const Json& description, const std::string& where);
bool flag_of(const Json& description, const char* key, bool otherwise, const std::string& where);
std::string text_of(const Json& description, const char* key, const std::string& where);
// The members of a "Sequence", under `key`.
const Json& list_of(const Json& description, const char* key, const std::string& where);

// One stage made of those listed under `key`, each given what the one before it made.
template <class Step>
Step sequence_of(const Json& description, const char* key, const std::string& where, Step (*make)(const Json&, const std::string&)) {
  std::vector<Step> steps;
  for (const Json& step : list_of(description, key, where)) steps.push_back(make(step, where));
  return [steps](auto value) {
    for (const Step& step : steps)
      if (step) value = step(std::move(value));
    return value;
  };
}

}  // namespace pare
