#include "tokenizers/steps.h"

#include "base/error.h"

namespace pare {

#define MODEL(function, name) \
  std::unique_ptr<TokenModel> make_##function(const TokenizerParts& parts, const Vocabulary& vocabulary);
#include "tokenizers/models.inc"
#undef MODEL

std::span<const ModelKind> model_kinds() {
  static const ModelKind kinds[] = {
#define MODEL(function, name) {name, make_##function},
#include "tokenizers/models.inc"
#undef MODEL
  };
  return kinds;
}

Vocabulary::Vocabulary(const std::vector<std::string>& tokens) {
  ids_.reserve(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id)
    if (!tokens[id].empty()) ids_.emplace(tokens[id], int64_t(id));
}

int64_t Vocabulary::find(std::string_view token) const {
  const auto at = ids_.find(token);
  return at == ids_.end() ? -1 : at->second;
}

std::string type_of(const Json& description, const std::string& where) {
  if (!description.is_object()) throw Error(where, "a step of the tokenizer is not an object");
  return text_of(description, "type", where);
}

std::string text_of(const Json& description, const char* key, const std::string& where) {
  const auto at = description.find(key);
  if (at == description.end() || !at->is_string())
    throw Error(where, std::string("a step of the tokenizer has no text \"") + key + "\"");
  return at->get<std::string>();
}

bool flag_of(const Json& description, const char* key, bool otherwise, const std::string& where) {
  const auto at = description.find(key);
  if (at == description.end() || at->is_null()) return otherwise;
  if (!at->is_boolean()) throw Error(where, std::string("\"") + key + "\" is neither true nor false");
  return at->get<bool>();
}

const Json& list_of(const Json& description, const char* key, const std::string& where) {
  const auto at = description.find(key);
  if (at == description.end() || !at->is_array())
    throw Error(where, std::string("a step of the tokenizer has no list \"") + key + "\"");
  return *at;
}

}  // namespace pare
