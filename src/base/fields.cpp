#include "base/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pare {

std::string number_text(double value) { return fmt::format("{}", value); }

namespace fields_detail {

double parse_number(const Field& field, const std::string& text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw UsageError("option '" + field.name + "'", "'" + text + "' is not a number");
  if ((field.least != 0 || field.most != 0) && (value < field.least || value > field.most))
    throw UsageError("option '" + field.name + "'", fmt::format("{} is outside {} … {}", text, field.least, field.most));
  return value;
}

void check_choice(const Field& field, const std::string& text) {
  if (field.choices.empty() || std::find(field.choices.begin(), field.choices.end(), text) != field.choices.end()) return;
  throw UsageError("option '" + field.name + "'", "'" + text + "' is not known", fmt::format("choose one of: {}", fmt::join(field.choices, ", ")));
}

bool parse_flag(const Field& field, const std::string& text) {
  if (text == "yes" || text == "true" || text == "1") return true;
  if (text == "no" || text == "false" || text == "0") return false;
  throw UsageError("option '" + field.name + "'", "'" + text + "' is neither yes nor no");
}

}  // namespace fields_detail

void parse_fields(const std::vector<Field>& fields, void* target, const OptionTexts& texts, const std::string& what) {
  for (const auto& option : texts) {
    const std::string& name = option.first, & text = option.second;  // no structured binding: clang 14 cannot capture one
    auto it = std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.name == name; });
    if (it == fields.end()) {
      std::vector<std::string> names;
      for (const Field& field : fields) names.push_back(field.name);
      const std::string near = nearest_word(name, names);
      throw UsageError(what, "has no option '" + name + "'",
                       names.empty() ? "it has no options" : near.empty() ? fmt::format("its options: {}", fmt::join(names, ", ")) : "did you mean '" + near + "'?");
    }
    it->parse(target, text);
  }
}

std::string print_fields(const std::vector<Field>& fields, const void* target) {
  std::string text;
  for (const Field& field : fields) text += (text.empty() ? "" : ", ") + field.name + "=" + field.print(target);
  return text;
}

std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t least = word.size() / 2 + 2;  // farther away it is another word, not a typo
  for (const std::string& candidate : candidates) {
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 0; i < word.size(); ++i) {  // Levenshtein, one row at a time
      size_t diagonal = row[0]++;
      for (size_t j = 0; j < candidate.size(); ++j) {
        const size_t replaced = diagonal + (word[i] != candidate[j]);
        diagonal = row[j + 1];
        row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
      }
    }
    if (row.back() < least) {
      least = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace pare
