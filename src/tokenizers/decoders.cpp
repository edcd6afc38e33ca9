// From tokens back to text: each decoder maps the list of token texts.
#include <algorithm>

#include "base/error.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/regex.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace pare {
namespace {

using Texts = std::vector<std::string>;

std::string joined(const Texts& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// Spaces that WordPiece loses before punctuation and within contractions.
std::string cleaned(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> rules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : rules) replace_all(text, from, to);
  return text;
}

Decoder make_wordpiece(const Json& d, const std::string& where) {
  const std::string prefix = d.contains("prefix") ? text_of(d, "prefix", where) : "##";
  const bool clean = flag_of(d, "cleanup", true, where);
  return [=](Texts tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0) tokens[i] = tokens[i].starts_with(prefix) ? tokens[i].substr(prefix.size()) : " " + tokens[i];
      if (clean) tokens[i] = cleaned(std::move(tokens[i]));
    }
    return tokens;
  };
}

Decoder make_byte_level(const Json&, const std::string&) {
  return [](Texts tokens) {
    std::string all, bytes;
    for (const std::string& token : tokens) all += from_byte_characters(token, bytes) ? bytes : token;
    return Texts{to_utf8(all)};
  };
}

// "<0x0A>" → 10, -1: another token.
int byte_of(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
  };
  const int high = digit(token[3]), low = digit(token[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// A run of byte tokens that is not UTF-8 as a whole becomes as many U+FFFD.
Decoder make_byte_fallback(const Json&, const std::string&) {
  return [](Texts tokens) {
    Texts result;
    std::string run;
    const auto flush = [&] {
      if (is_utf8(run)) {
        if (!run.empty()) result.push_back(run);
      } else {
        for (size_t i = 0; i < run.size(); ++i) result.push_back("\xEF\xBF\xBD");
      }
      run.clear();
    };
    for (std::string& token : tokens) {
      if (const int byte = byte_of(token); byte >= 0) {
        run += char(byte);
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    return result;
  };
}

Decoder make_metaspace(const Json& d, const std::string& where) {
  const std::string mark = d.contains("replacement") ? text_of(d, "replacement", where) : "\u2581";
  const bool prepends = d.contains("prepend_scheme") ? text_of(d, "prepend_scheme", where) != "never"
                                                     : flag_of(d, "add_prefix_space", true, where);
  if (mark.empty()) throw Error(where, "Metaspace's replacement is empty");
  return [=](Texts tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], mark, i == 0 && prepends ? "" : " ");
    return tokens;
  };
}

int64_t count_of_key(const Json& d, const char* key, const std::string& where) {
  const auto at = d.find(key);
  if (at == d.end() || !at->is_number_unsigned() || at->get<uint64_t>() > 1'000'000)
    throw Error(where, std::string("a step of the tokenizer has no count \"") + key + "\"");
  return int64_t(at->get<uint64_t>());
}

Decoder make_strip(const Json& d, const std::string& where) {
  const std::string content = text_of(d, "content", where);
  if (content.empty()) throw Error(where, "Strip's content is empty");
  const int64_t start = count_of_key(d, "start", where), stop = count_of_key(d, "stop", where);
  return [=](Texts tokens) {
    for (std::string& token : tokens) {
      for (int64_t i = 0; i < start && token.starts_with(content); ++i) token.erase(0, content.size());
      for (int64_t i = 0; i < stop && token.ends_with(content); ++i) token.resize(token.size() - content.size());
    }
    return tokens;
  };
}

Decoder make_suffix(const Json& d, const std::string& where) {
  const std::string suffix = d.contains("suffix") ? text_of(d, "suffix", where) : "</w>";
  if (suffix.empty()) throw Error(where, "BPEDecoder's suffix is empty");
  return [=](Texts tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], suffix, i + 1 == tokens.size() ? "" : " ");
    return tokens;
  };
}

Decoder make_replace(const Json& d, const std::string& where) {
  const Normalizer replace = make_normalizer(d, where);
  return [=](Texts tokens) {
    for (std::string& token : tokens) token = replace(std::move(token));
    return tokens;
  };
}

Decoder make_sequence(const Json& d, const std::string& where) { return sequence_of(d, "decoders", where, make_decoder); }

struct Row {
  std::string_view name;
  Decoder (*make)(const Json&, const std::string&);
};
const Row rows[] = {
    {"Sequence", make_sequence},
    {"WordPiece", make_wordpiece},
    {"ByteLevel", make_byte_level},
    {"ByteFallback", make_byte_fallback},
    {"Metaspace", make_metaspace},
    {"BPEDecoder", make_suffix},
    {"Replace", make_replace},
    {"Strip", make_strip},
    {"Fuse",
     [](const Json&, const std::string&) -> Decoder { return [](Texts tokens) { return Texts{joined(tokens)}; }; }},
};

}  // namespace

Decoder make_decoder(const Json& description, const std::string& where) {
  if (description.is_null()) return nullptr;
  const std::string type = type_of(description, where);
  std::string known;
  for (const Row& row : rows) {
    if (row.name == type) return row.make(description, where);
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(where, "the decoder \"" + type + "\" is not known", "known: " + known);
}

}  // namespace pare
