// Where the text is cut into pieces that the model sees one by one.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tokenizers/byte_level.h"
#include "tokenizers/regex.h"
#include "tokenizers/steps.h"
#include "tokenizers/unicode.h"

namespace pare {
namespace {

// Of the patterns a text is cut by, as their models were trained with.
constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct Range {
  size_t start, end;
  bool match;
};
using Ranges = std::vector<Range>;  // one after the other, all of the text
using Finder = std::function<Ranges(std::string_view)>;

Finder by_regex(const Regex& regex) {
  return [regex](std::string_view text) {
    Ranges ranges;
    size_t done = 0;
    regex.matches(text, [&](size_t start, size_t end) {
      if (start > done) ranges.push_back({done, start, false});
      ranges.push_back({start, end, true});
      done = end;
    });
    if (done < text.size()) ranges.push_back({done, text.size(), false});
    return ranges;
  };
}

// Every character that fits is a match of its own.
template <class Fits>
Finder by_character(Fits fits) {
  return [fits](std::string_view text) {
    Ranges ranges;
    for (size_t at = 0; at < text.size();) {
      const size_t start = at;
      const bool match = fits(next_character(text, at));
      if (!match && !ranges.empty() && !ranges.back().match)
        ranges.back().end = at;
      else
        ranges.push_back({start, at, match});
    }
    return ranges;
  };
}

// What becomes of the matches; the names are tokenizer.json's.
Ranges removed(const Ranges& ranges) {
  Ranges kept;
  std::copy_if(ranges.begin(), ranges.end(), std::back_inserter(kept), [](const Range& r) { return !r.match; });
  return kept;
}

Ranges isolated(const Ranges& ranges) {
  return ranges;
}

Ranges contiguous(const Ranges& ranges) {
  Ranges merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && merged.back().match == range.match)
      merged.back().end = range.end;
    else
      merged.push_back(range);
  }
  return merged;
}

// Of several matches in a row only the first goes to its neighbour.
Ranges merged_with_previous(const Ranges& ranges) {
  Ranges merged;
  bool after_match = false;
  for (const Range& range : ranges) {
    if (range.match && !after_match && !merged.empty())
      merged.back().end = range.end;
    else
      merged.push_back(range);
    after_match = range.match;
  }
  return merged;
}

Ranges merged_with_next(const Ranges& ranges) {
  Ranges merged;
  bool before_match = false;
  for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
    if (range->match && !before_match && !merged.empty())
      merged.back().start = range->start;
    else
      merged.push_back(*range);
    before_match = range->match;
  }
  std::reverse(merged.begin(), merged.end());
  return merged;
}

using Behaviour = Ranges (*)(const Ranges&);

Behaviour behaviour_of(const Json& d, const std::string& where, const std::string& otherwise = "") {
  const std::string name = !otherwise.empty() && !d.contains("behavior") ? otherwise : text_of(d, "behavior", where);
  if (name == "Removed") return removed;
  if (name == "Isolated") return isolated;
  if (name == "Contiguous") return contiguous;
  if (name == "MergedWithPrevious") return merged_with_previous;
  if (name == "MergedWithNext") return merged_with_next;
  throw Error(where, "the behavior \"" + name + "\" is not known",
              "known: Removed, Isolated, Contiguous, MergedWithPrevious, MergedWithNext");
}

std::vector<Piece> split(const std::vector<Piece>& pieces, const Finder& find, Behaviour behaviour,
                         bool invert = false) {
  std::vector<Piece> result;
  for (const Piece& piece : pieces) {
    Ranges ranges = find(piece.text);
    if (invert)
      for (Range& range : ranges) range.match = !range.match;
    for (const Range& range : behaviour(ranges))
      if (range.end > range.start)
        result.push_back({piece.text.substr(range.start, range.end - range.start), piece.first && range.start == 0});
  }
  return result;
}

Splitter splitter_of(Finder find, Behaviour behaviour, bool invert = false) {
  return [find = std::move(find), behaviour, invert](std::vector<Piece> pieces) {
    return split(pieces, find, behaviour, invert);
  };
}

bool is_bert_punctuation(char32_t c) {
  return is_ascii_punctuation(c) || (is_punctuation(c) && !is_later_mark(c));
}

Splitter make_bert(const Json&, const std::string&) {
  return [spaces = splitter_of(by_character(is_space), removed),
          marks = splitter_of(by_character(is_bert_punctuation), isolated)](std::vector<Piece> pieces) {
    return marks(spaces(std::move(pieces)));
  };
}

Splitter make_split(const Json& d, const std::string& where) {
  const auto pattern = d.find("pattern");
  if (pattern == d.end() || !pattern->is_object()) throw Error(where, "a Split step has no pattern");
  const bool literal = pattern->contains("String");
  const Regex regex(literal ? escaped(text_of(*pattern, "String", where)) : text_of(*pattern, "Regex", where), where);
  return splitter_of(by_regex(regex), behaviour_of(d, where), flag_of(d, "invert", false, where));
}

Splitter make_byte_level(const Json& d, const std::string& where) {
  const bool prefix = flag_of(d, "add_prefix_space", true, where), cut = flag_of(d, "use_regex", true, where);
  return [prefix, cut, words = splitter_of(by_regex(Regex(kGpt2, where)), isolated)](std::vector<Piece> pieces) {
    if (prefix)
      for (Piece& piece : pieces)
        if (!piece.text.starts_with(' ')) piece.text.insert(0, 1, ' ');
    if (cut) pieces = words(std::move(pieces));
    for (Piece& piece : pieces) piece.text = to_byte_characters(piece.text);
    return pieces;
  };
}

Splitter make_metaspace(const Json& d, const std::string& where) {
  const std::string mark = d.contains("replacement") ? text_of(d, "replacement", where) : "\u2581";
  std::string scheme = d.contains("prepend_scheme") ? text_of(d, "prepend_scheme", where) : "always";
  if (!d.contains("prepend_scheme") && !flag_of(d, "add_prefix_space", true, where)) scheme = "never";
  const bool cut = flag_of(d, "split", true, where);
  return [=, words = splitter_of(by_regex(Regex(escaped(mark), where)), merged_with_next),
          spaces = Regex(escaped(" "), where)](std::vector<Piece> pieces) {
    for (Piece& piece : pieces) {
      piece.text = spaces.replaced(piece.text, mark);
      if ((scheme == "always" || (scheme == "first" && piece.first)) && !piece.text.starts_with(mark))
        piece.text = mark + piece.text;
    }
    return cut ? words(std::move(pieces)) : pieces;
  };
}

Splitter make_sequence(const Json& d, const std::string& where) { return sequence_of(d, "pretokenizers", where, make_splitter); }

struct Row {
  std::string_view name;
  Splitter (*make)(const Json&, const std::string&);
};
const Row rows[] = {
    {"Sequence", make_sequence},
    {"BertPreTokenizer", make_bert},
    {"ByteLevel", make_byte_level},
    {"Split", make_split},
    {"Metaspace", make_metaspace},
    {"Digits",
     [](const Json& d, const std::string& where) {
       return splitter_of(by_character(is_number),
                          flag_of(d, "individual_digits", false, where) ? isolated : contiguous);
     }},
    {"Punctuation",
     [](const Json& d, const std::string& where) {
       return splitter_of(by_character(is_bert_punctuation), behaviour_of(d, where, "Isolated"));
     }},
    {"Whitespace",
     [](const Json&, const std::string& where) {
       constexpr const char* words =
           R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+)";
       return splitter_of(by_regex(Regex(words, where)), removed, true);
     }},
    {"WhitespaceSplit", [](const Json&, const std::string&) { return splitter_of(by_character(is_space), removed); }},
};

}  // namespace

Splitter make_splitter(const Json& description, const std::string& where) {
  if (description.is_null()) return nullptr;
  const std::string type = type_of(description, where);
  std::string known;
  for (const Row& row : rows) {
    if (row.name == type) return row.make(description, where);
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw Error(where, "the pre-tokenizer \"" + type + "\" is not known", "known: " + known);
}

Json named_pre_tokenizer(const std::string& name) {
  const Json gpt2 = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  const auto cut_by = [](const char* pattern) {
    return Json{{"type", "Sequence"},
                {"pretokenizers",
                 {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
                  {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  };
  if (name == "gpt-2" || name == "default") return gpt2;
  if (name == "smollm")
    return {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, gpt2}}};
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") return cut_by(kLlama3);
  if (name == "qwen2") return cut_by(kQwen2);
  throw Error("pre-tokenizer \"" + name + "\"", "is not known", "known: gpt-2, default, smollm, llama-bpe, qwen2");
}

}  // namespace pare
