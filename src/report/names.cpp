#include "report/names.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>

namespace pare {
namespace {

struct Pass {
  std::string name;
  std::vector<std::pair<std::string, std::string>> options;
};

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

// Splits at commas outside braces, brackets and quotes.
std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '{' || c == '[')) ++depth;
    if (!quoted && (c == '}' || c == ']')) --depth;
    if (c == ',' && depth == 0 && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// Reads what it can: a recipe was checked when it ran, here it only gets a name.
std::vector<Pass> read_recipe(const std::string& recipe) {
  std::vector<Pass> passes;
  for (const std::string& part : split_list(recipe)) {
    const size_t brace = part.find('{');
    Pass pass{trimmed(part.substr(0, brace)), {}};
    if (pass.name.empty()) continue;
    if (brace != std::string::npos) {
      const size_t end = part.rfind('}');
      const std::string inside = part.substr(brace + 1, end == std::string::npos ? end : end - brace - 1);
      for (const std::string& option : split_list(inside)) {
        const size_t equals = option.find('=');
        if (equals == std::string::npos) continue;
        pass.options.emplace_back(trimmed(option.substr(0, equals)), trimmed(option.substr(equals + 1)));
      }
    }
    passes.push_back(std::move(pass));
  }
  return passes;
}

// What made a model out of nothing is no compression: such a model is called by its file, and others by what came after.
std::vector<Pass> without_beginnings(std::vector<Pass> passes) {
  const auto is = [](const char* name) { return [name](const Pass& pass) { return pass.name == name; }; };
  const auto begin = std::find_if(passes.begin(), passes.end(), is("initialize-weights"));
  auto end = begin == passes.end() ? begin : begin + 1;
  if (end != passes.end() && is("finetune")(*end)) ++end;
  if (begin != passes.end() && end != passes.end() && is("cut-graph")(*end)) ++end;
  passes.erase(begin, end);
  return passes;
}

using Option = std::pair<std::string, std::string>;  // (pass, option)

constexpr size_t short_enough = 32;  // bytes: fits a table's first column, so no more options need go

// Passes with these verbs prepare the ones that compress; a short name does without them where it can.
constexpr const char* preparing_verbs[] = {"fold-", "fuse-", "equalize-", "smooth-", "correct-"};

bool prepares(const std::string& pass) {
  return std::any_of(std::begin(preparing_verbs), std::end(preparing_verbs),
                     [&](const char* verb) { return pass.starts_with(verb); });
}

// "f16" speaks for itself, "4" and "true" do not.
std::string option_text(const std::string& option, const std::string& value) {
  const bool word =
      !value.empty() && std::isalpha(static_cast<unsigned char>(value[0])) && value != "true" && value != "false";
  return word ? value : option + "=" + value;
}

// What the names of one table leave out: starts with the options in which its rows agree.
class Shortener {
 public:
  explicit Shortener(std::vector<std::vector<Pass>> recipes) : recipes_(std::move(recipes)) {
    std::map<Option, std::set<std::string>> values;
    for (const std::vector<Pass>& passes : recipes_) {
      for (const Pass& pass : passes) {
        for (const auto& [option, value] : pass.options) values[{pass.name, option}].insert(value);
      }
    }
    for (const auto& [option, seen] : values) {
      if (seen.size() == 1) options_.insert(option);
    }
    drop_what_is_not_needed();
  }

  std::string name(size_t row) const {
    std::string name;
    const auto kept = [&](const Pass& pass) { return !passes_.contains(pass.name); };
    const bool any_kept = std::any_of(recipes_[row].begin(), recipes_[row].end(), kept);  // else it needs them all
    for (const Pass& pass : recipes_[row]) {
      if (any_kept && !kept(pass)) continue;
      name += (name.empty() ? "" : " + ") + pass.name;
      for (const auto& [option, value] : pass.options) {
        if (!options_.contains({pass.name, option})) name += " " + option_text(option, value);
      }
    }
    return name;
  }

 private:
  // Different names, and none of them empty that need not be.
  std::pair<size_t, size_t> distinct() const {
    std::set<std::string> names;
    size_t named = 0;
    for (size_t i = 0; i < recipes_.size(); ++i) {
      names.insert(name(i));
      named += !name(i).empty();
    }
    return {names.size(), named};
  }
  size_t longest() const {
    size_t most = 0;
    for (size_t i = 0; i < recipes_.size(); ++i) most = std::max(most, name(i).size());
    return most;
  }
  template <class T>
  void try_dropping(std::set<T>& dropped, const T& what) {
    const auto before = distinct();
    if (dropped.insert(what).second && distinct() != before) dropped.erase(what);
  }
  void drop_what_is_not_needed() {
    std::set<std::string> preparing;
    std::vector<Option> options;  // the last written is the first to go
    for (const std::vector<Pass>& passes : recipes_) {
      for (const Pass& pass : passes) {
        if (prepares(pass.name)) preparing.insert(pass.name);
        for (auto option = pass.options.rbegin(); option != pass.options.rend(); ++option) {
          const Option key{pass.name, option->first};
          if (!options_.contains(key) && std::find(options.begin(), options.end(), key) == options.end())
            options.push_back(key);
        }
      }
    }
    for (const std::string& pass : preparing) try_dropping(passes_, pass);
    for (const Option& option : options) {
      if (longest() <= short_enough) break;
      try_dropping(options_, option);
    }
  }

  std::vector<std::vector<Pass>> recipes_;
  std::set<std::string> passes_;  // left out
  std::set<Option> options_;      // left out
};

}  // namespace

std::string file_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::vector<std::string> row_names(const Table& table) {
  std::vector<std::vector<Pass>> recipes;
  for (const Row& row : table.rows) recipes.push_back(row.name.empty() ? without_beginnings(read_recipe(row.recipe)) : std::vector<Pass>{});
  const Shortener shortener(std::move(recipes));
  std::vector<std::string> names;
  std::map<std::string, int> uses;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const Row& row = table.rows[i];
    std::string name = row.name;
    if (name.empty()) name = shortener.name(i);
    if (name.empty()) name = file_name(row.model);
    if (name.empty()) name = "row " + std::to_string(i + 1);
    names.push_back(valid_utf8(name));
    ++uses[names.back()];
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (uses[names[i]] > 1) names[i] += " (" + valid_utf8(file_name(table.rows[i].model)) + ")";
  }
  return names;
}

}  // namespace pare
