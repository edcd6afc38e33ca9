#include <cctype>

#include "passes/pass.h"

namespace pare {
namespace {

struct Cursor {
  const std::string& text;
  size_t at = 0;
  void skip_space() {
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
  }
  bool take(char c) {
    skip_space();
    if (at >= text.size() || text[at] != c) return false;
    ++at;
    return true;
  }
  [[noreturn]] void fail(const std::string& expected) const {
    throw UsageError("recipe, character " + std::to_string(at + 1),
                     "expected " + expected + (at < text.size() ? ", found '" + text.substr(at, 12) + "'" : ", found the end"),
                     "write passes as: fold-batchnorm, quantize-static{calibration=mse}");
  }
  // Up to one of `ends`, trimmed.
  std::string until(const char* ends, const std::string& what) {
    skip_space();
    const size_t start = at;
    at = std::min(text.find_first_of(ends, at), text.size());
    size_t last = at;
    while (last > start && std::isspace(static_cast<unsigned char>(text[last - 1]))) --last;
    if (last == start) fail(what);
    return text.substr(start, last - start);
  }
};

}  // namespace

std::vector<RecipeStep> parse_recipe(const std::string& text) {
  Cursor cursor{text};
  std::vector<RecipeStep> steps;
  cursor.skip_space();
  while (cursor.at < text.size()) {
    RecipeStep step;
    step.name = cursor.until(",{}=", "the name of a pass");
    if (cursor.take('{') && !cursor.take('}')) {
      do {
        const std::string name = cursor.until("=,{}", "an option");
        if (!cursor.take('=')) cursor.fail("'=' after '" + name + "'");
        cursor.skip_space();
        const bool empty = cursor.at < text.size() && (text[cursor.at] == ',' || text[cursor.at] == '}');
        step.options.emplace_back(name, empty ? "" : cursor.until(",}", "a value"));
      } while (cursor.take(','));
      if (!cursor.take('}')) cursor.fail("',' or '}'");
    }
    steps.push_back(std::move(step));
    cursor.skip_space();
    if (cursor.at < text.size() && !cursor.take(',')) cursor.fail("',' between passes");
    cursor.skip_space();
  }
  return steps;
}

std::string canonical_recipe(const std::string& text) {
  std::string canonical;
  for (const RecipeStep& step : parse_recipe(text)) {
    const std::string options = find_pass(step.name).bind(step.options)->options();
    canonical += (canonical.empty() ? "" : ", ") + step.name + (options.empty() ? "" : "{" + options + "}");
  }
  return canonical;
}

}  // namespace pare
