#include "language/text_model.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace pare {
namespace {

using nlohmann::json;

// GGUF's metadata as the reader kept it: key → value without its type.
std::map<std::string, json> metadata_of(const std::string& text, const std::string& where) {
  std::map<std::string, json> values;
  try {
    json entries = json::parse(text);
    for (json& entry : entries) values[entry.at(0).get<std::string>()] = std::move(entry.at(1).begin().value());
  } catch (const json::exception& error) {
    throw Error(where, std::string("the GGUF metadata is damaged: ") + error.what());
  }
  return values;
}

template <class T>
T value_or(const std::map<std::string, json>& values, const std::string& key, T fallback) {
  const auto found = values.find(key);
  return found == values.end() ? fallback : found->second.get<T>();
}

constexpr int kControl = 3, kUserDefined = 4;   // llama.cpp's token types

void add_special_tokens(const std::map<std::string, json>& values, TokenizerParts& parts) {
  const auto types = value_or(values, "tokenizer.ggml.token_type", std::vector<int>());
  for (size_t id = 0; id < std::min(types.size(), parts.vocabulary.size()); ++id)
    if (types[id] == kControl || types[id] == kUserDefined) parts.added.push_back({int64_t(id), parts.vocabulary[id], types[id] == kControl});
}

// "a b": the first space parts them, tokens have none of their own.
std::vector<std::pair<std::string, std::string>> pairs_of(const std::vector<std::string>& merges) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& merge : merges)
    if (const size_t space = merge.find(' ', 1); space != std::string::npos) pairs.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  return pairs;
}

void set_byte_level(const std::map<std::string, json>& values, TokenizerParts& parts) {
  parts.merges = pairs_of(value_or(values, "tokenizer.ggml.merges", std::vector<std::string>()));
  parts.pre_tokenizer = named_pre_tokenizer(value_or<std::string>(values, "tokenizer.ggml.pre", "default"));
  parts.decoder = {{"type", "ByteLevel"}};
  const std::string pre = value_or<std::string>(values, "tokenizer.ggml.pre", "default");
  parts.options = {{"ignore_merges", pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3"}};
}

// SentencePiece: spaces are U+2581, one stands before the text, characters without a token are spelled in bytes.
void set_sentence_piece(const std::map<std::string, json>& values, TokenizerParts& parts) {
  parts.scores = value_or(values, "tokenizer.ggml.scores", std::vector<float>());
  const json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  const bool prefix = value_or(values, "tokenizer.ggml.add_space_prefix", true);
  parts.normalizer = prefix ? json{{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}, {"prepend", "▁"}}, replace}}} : replace;
  json decoders = {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}}, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  parts.decoder = {{"type", "Sequence"}, {"decoders", decoders}};
  parts.options = {{"byte_fallback", true}, {"fuse_unk", true}};
  const auto unknown = value_or<int64_t>(values, "tokenizer.ggml.unknown_token_id", 0);
  if (unknown >= 0 && unknown < int64_t(parts.vocabulary.size())) parts.options["unk_token"] = parts.vocabulary[size_t(unknown)];
}

// The token a text begins with.
void set_beginning(const std::map<std::string, json>& values, TokenizerParts& parts, bool otherwise) {
  const auto id = value_or<int64_t>(values, "tokenizer.ggml.bos_token_id", -1);
  if (!value_or(values, "tokenizer.ggml.add_bos_token", otherwise) || id < 0 || id >= int64_t(parts.vocabulary.size())) return;
  const std::string& token = parts.vocabulary[size_t(id)];
  parts.post_processor = {{"type", "TemplateProcessing"},
                          {"single", {{{"SpecialToken", {{"id", token}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
                          {"pair", {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
                          {"special_tokens", {{token, {{"id", token}, {"ids", {id}}, {"tokens", {token}}}}}}};
}

TextModel from_gguf(const std::string& text, const std::string& where) {
  const auto values = metadata_of(text, where);
  TextModel model;
  try {
    for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
      if (const auto id = value_or<int64_t>(values, key, -1); id >= 0) model.stops.push_back(id);
    model.chat_template = value_or<std::string>(values, "tokenizer.chat_template", "");
    if (values.count("tokenizer.ggml.tokens") == 0) return model;
    TokenizerParts parts;
    parts.where = where + ": tokenizer";
    parts.model = "BPE";
    parts.vocabulary = values.at("tokenizer.ggml.tokens").get<std::vector<std::string>>();
    const std::string kind = value_or<std::string>(values, "tokenizer.ggml.model", "");
    if (kind == "gpt2") set_byte_level(values, parts);
    else if (kind == "llama") set_sentence_piece(values, parts);
    else throw Error(where, "tokenizer.ggml.model is '" + kind + "'", "pare reads gpt2 and llama");
    add_special_tokens(values, parts);
    set_beginning(values, parts, kind == "llama");
    model.tokenizer.emplace(std::move(parts));
  } catch (const json::exception& error) {
    throw Error(where, std::string("the GGUF metadata is damaged: ") + error.what());
  }
  return model;
}

// Ids from generation_config.json or config.json: one, or a list.
std::vector<int64_t> stops_in(const json& config) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return {};
  if (found->is_number_integer()) return {found->get<int64_t>()};
  return found->is_array() ? found->get<std::vector<int64_t>>() : std::vector<int64_t>();
}

TextModel from_folder(const Graph& graph, const std::string& where) {
  TextModel model;
  const auto text_of = [&](const char* name) {
    const auto found = graph.metadata.find(name);
    return found == graph.metadata.end() ? std::string() : found->second;
  };
  try {
    if (const std::string text = text_of("tokenizer.json"); !text.empty()) model.tokenizer.emplace(parse_tokenizer(text, where + ": tokenizer.json"));
    for (const char* name : {"generation_config.json", "config.json"})
      if (const std::string text = text_of(name); !text.empty() && model.stops.empty()) model.stops = stops_in(json::parse(text));
    model.chat_template = text_of("chat_template.jinja");
    if (const std::string text = text_of("tokenizer_config.json"); model.chat_template.empty() && !text.empty()) {
      const json config = json::parse(text);
      if (const auto found = config.find("chat_template"); found != config.end() && found->is_string()) model.chat_template = found->get<std::string>();
    }
  } catch (const json::exception& error) {
    throw Error(where, std::string("the checkpoint's texts are damaged: ") + error.what());
  }
  return model;
}

}  // namespace

TextModel text_model_of(const Graph& graph, const std::string& where) {
  const auto gguf = graph.metadata.find("gguf");
  return gguf != graph.metadata.end() ? from_gguf(gguf->second, where) : from_folder(graph, where);
}

}  // namespace pare
