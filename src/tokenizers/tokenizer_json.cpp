// tokenizer.json of the Hugging Face library. Its numbers are checked here; its steps are checked where they are made.
#include <fmt/format.h>

#include "base/error.h"
#include "tokenizers/steps.h"
#include "tokenizers/tokenizer.h"

namespace pare {
namespace {

constexpr int kDeepest = 64;  // real files nest some ten deep; steps are made recursively

// Before parsing: how deep brackets nest outside of texts.
bool nests_too_deep(std::string_view json) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDeepest) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

std::vector<std::string> read_vocabulary(const Json& model, const std::string& where) {
  const auto table = model.find("vocab");
  if (table == model.end() || !table->is_object())
    throw Error(where, "the model has no vocabulary of the form {\"token\": id}", "Unigram models are not read");
  // Ids may have gaps, but a few tokens must not ask for a table of gigabytes.
  const uint64_t most = 2 * table->size() + 1024;
  std::vector<std::string> tokens;
  for (const auto& [token, id] : table->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= most)
      throw Error(where, fmt::format("the id of \"{}\" is not a number below {}", token, most));
    const size_t at = id.get<uint64_t>();
    if (at >= tokens.size()) tokens.resize(at + 1);
    if (!tokens[at].empty())
      throw Error(where, fmt::format("\"{}\" and \"{}\" have the same id, {}", tokens[at], token, at));
    tokens[at] = token;
  }
  return tokens;
}

// "a b" or ["a", "b"].
std::vector<std::pair<std::string, std::string>> read_merges(const Json& model, const std::string& where) {
  std::vector<std::pair<std::string, std::string>> merges;
  if (!model.contains("merges")) return merges;
  for (const Json& merge : list_of(model, "merges", where)) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      throw Error(where, fmt::format("merge {} is not a pair of tokens", merges.size()));
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

std::vector<AddedToken> read_added(const Json& file, const std::string& where) {
  std::vector<AddedToken> tokens;
  if (!file.contains("added_tokens") || file["added_tokens"].is_null()) return tokens;
  for (const Json& entry : list_of(file, "added_tokens", where)) {
    if (!entry.is_object() || !entry.contains("id") || !entry["id"].is_number_unsigned() ||
        entry["id"].get<uint64_t>() > INT32_MAX)
      throw Error(where, fmt::format("added token {} has no id", tokens.size()));
    AddedToken token{int64_t(entry["id"].get<uint64_t>()), text_of(entry, "content", where)};
    token.special = flag_of(entry, "special", token.special, where);
    token.single_word = flag_of(entry, "single_word", token.single_word, where);
    token.left_strip = flag_of(entry, "lstrip", token.left_strip, where);
    token.right_strip = flag_of(entry, "rstrip", token.right_strip, where);
    token.normalized = flag_of(entry, "normalized", !token.special, where);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Json member(const Json& file, const char* key) {
  return file.contains(key) ? file[key] : Json();
}

}  // namespace

TokenizerParts parse_tokenizer(std::string_view json, const std::string& where) {
  if (nests_too_deep(json)) throw Error(where, fmt::format("nests deeper than {} levels", kDeepest));
  const Json file = Json::parse(json, nullptr, false);
  if (file.is_discarded() || !file.is_object() || !file.contains("model") || !file["model"].is_object())
    throw Error(where, "is not a tokenizer: expected JSON with a \"model\"",
                "give the tokenizer.json that came with the model");
  const Json& model = file["model"];
  TokenizerParts parts;
  parts.where = where;
  parts.model = model.contains("type") ? text_of(model, "type", where) : model.contains("merges") ? "BPE" : "WordPiece";
  parts.vocabulary = read_vocabulary(model, where);
  parts.merges = read_merges(model, where);
  parts.options = Json::object();
  for (const auto& [key, value] : model.items())
    if (key != "vocab" && key != "merges") parts.options[key] = value;
  parts.added = read_added(file, where);
  parts.normalizer = member(file, "normalizer");
  parts.pre_tokenizer = member(file, "pre_tokenizer");
  parts.post_processor = member(file, "post_processor");
  parts.decoder = member(file, "decoder");
  const Json truncation = member(file, "truncation");
  if (truncation.is_object() && truncation.contains("max_length") && truncation["max_length"].is_number_unsigned())
    parts.length = int64_t(std::min<uint64_t>(truncation["max_length"].get<uint64_t>(), INT32_MAX));
  const Json padding = member(file, "padding");
  if (padding.is_object() && padding.contains("pad_id") && padding["pad_id"].is_number_unsigned())
    parts.pad_id = int64_t(std::min<uint64_t>(padding["pad_id"].get<uint64_t>(), INT32_MAX));
  return parts;
}

}  // namespace pare
