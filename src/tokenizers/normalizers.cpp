// What happens to the text as a whole before it is split.
#include <algorithm>

#include "base/error.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/regex.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace pare {
namespace {

template <class Append>  // append(result, character)
std::string each_character(std::string_view text, const Append& append) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) append(result, next_character(text, at));
  return result;
}

std::string lowercase(std::string_view text) {
  return each_character(text, [](std::string& to, char32_t c) { append_lowercase(to, c); });
}

// Chinese, Japanese and Korean characters that BERT makes words of their own (the Unicode blocks its authors chose).
bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

struct BertOptions {
  bool clean, ideographs, accents, lower;
};

std::string normalize_bert(std::string text, const BertOptions& options) {
  if (options.clean)
    text = each_character(text, [](std::string& to, char32_t c) {
      const bool spacing = c == '\t' || c == '\n' || c == '\r';
      if (!spacing && (c == 0 || c == 0xFFFD || (is_control(c) && !is_later_mark(c)))) return;
      if (spacing || is_space(c))
        to += ' ';
      else
        append_character(to, c);
    });
  if (options.ideographs)
    text = each_character(text, [](std::string& to, char32_t c) {
      if (is_ideograph(c)) to += ' ';
      append_character(to, c);
      if (is_ideograph(c)) to += ' ';
    });
  if (options.accents)
    text = each_character(normal_form(text, NormalForm::nfd), [](std::string& to, char32_t c) {
      if (!is_accent(c) || is_later_mark(c)) append_character(to, c);
    });
  return options.lower ? lowercase(text) : text;
}

Normalizer make_bert(const Json& d, const std::string& where) {
  const bool lower = flag_of(d, "lowercase", true, where);
  const BertOptions options{flag_of(d, "clean_text", true, where), flag_of(d, "handle_chinese_chars", true, where),
                            flag_of(d, "strip_accents", lower, where), lower};
  return [options](std::string text) { return normalize_bert(std::move(text), options); };
}

template <NormalForm form>
Normalizer make_form(const Json&, const std::string&) {
  return [](std::string text) { return normal_form(text, form); };
}

Normalizer make_strip(const Json& d, const std::string& where) {
  const bool left = flag_of(d, "strip_left", true, where), right = flag_of(d, "strip_right", true, where);
  return [left, right](std::string text) {
    size_t first = std::string::npos, last = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      if (is_space(next_character(text, at))) continue;
      first = std::min(first, start);
      last = at;
    }
    if (first == std::string::npos) return left || right ? std::string() : text;
    const size_t from = left ? first : 0, to = right ? last : text.size();
    return text.substr(from, to - from);
  };
}

Normalizer make_prepend(const Json& d, const std::string& where) {
  return [prefix = text_of(d, "prepend", where)](std::string text) { return text.empty() ? text : prefix + text; };
}

Normalizer make_replace(const Json& d, const std::string& where) {
  const auto pattern = d.find("pattern");
  if (pattern == d.end() || !pattern->is_object()) throw Error(where, "a Replace step has no pattern");
  const bool literal = pattern->contains("String");
  const Regex regex(literal ? escaped(text_of(*pattern, "String", where)) : text_of(*pattern, "Regex", where), where);
  return [regex, by = text_of(d, "content", where)](std::string text) { return regex.replaced(text, by); };
}

Normalizer make_sequence(const Json& d, const std::string& where) { return sequence_of(d, "normalizers", where, make_normalizer); }

struct Row {
  std::string_view name;
  Normalizer (*make)(const Json&, const std::string&);
};
const Row rows[] = {
    {"Sequence", make_sequence},
    {"BertNormalizer", make_bert},
    {"NFC", make_form<NormalForm::nfc>},
    {"NFD", make_form<NormalForm::nfd>},
    {"NFKC", make_form<NormalForm::nfkc>},
    {"NFKD", make_form<NormalForm::nfkd>},
    {"Lowercase", [](const Json&, const std::string&) -> Normalizer { return lowercase; }},
    {"StripAccents",
     [](const Json&, const std::string&) -> Normalizer {
       return [](std::string text) {
         return each_character(text, [](std::string& to, char32_t c) {
           if (!is_mark(c)) append_character(to, c);
         });
       };
     }},
    {"Strip", make_strip},
    {"Prepend", make_prepend},
    {"Replace", make_replace},
    {"ByteLevel", [](const Json&, const std::string&) -> Normalizer { return to_byte_characters; }},
};

}  // namespace

Normalizer make_normalizer(const Json& description, const std::string& where) {
  if (description.is_null()) return nullptr;
  const std::string type = type_of(description, where);
  std::string known;
  for (const Row& row : rows) {
    if (row.name == type) return row.make(description, where);
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(where, "the normalizer \"" + type + "\" is not known", "known: " + known);
}

}  // namespace pare
