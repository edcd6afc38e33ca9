#include "data/description.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"

namespace pare {
namespace fs = std::filesystem;

struct Section::Table {
  std::shared_ptr<const toml::table> root;  // keeps `keys` alive
  const toml::table* keys = nullptr;
  std::string file, name;  // name: "test", empty for the whole file
};

namespace {

std::string kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date";
  }
}

// Letters to insert, remove or replace to come from a to b (Levenshtein 1966).
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string hint(const std::string& word, const std::vector<std::string>& known) {
  if (known.empty()) return "";
  return fmt::format("did you mean \"{}\"? known here: {}", nearest(word, known), fmt::join(known, ", "));
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  const auto best = std::min_element(known.begin(), known.end(), [&](const std::string& a, const std::string& b) {
    return distance(word, a) < distance(word, b);
  });
  return best == known.end() ? "" : *best;
}

Section Section::read(const std::string& path) {
  const std::string text = read_text(path);
  try {
    auto root = std::make_shared<const toml::table>(toml::parse(text, path));
    const toml::table* keys = root.get();
    return Section(std::make_shared<const Table>(Table{std::move(root), keys, path, ""}));
  } catch (const toml::parse_error& error) {
    throw Error(
        fmt::format("{}:{}", path, error.source().begin.line), std::string(error.description()),
        "a data description is TOML: key = \"text\" lines under [test], [calibration], …; see docs/guide/data.md");
  }
}

bool Section::has(const std::string& key) const {
  return table_->keys->contains(key);
}

std::vector<std::string> Section::keys() const {
  std::vector<std::string> result;
  for (const auto& [key, value] : *table_->keys) result.emplace_back(key.str());
  return result;
}

std::string Section::title() const {
  return table_->name.empty() ? "the description" : fmt::format("[{}]", table_->name);
}

std::string Section::where(const std::string& key) const {
  const toml::node* node = table_->keys->get(key);
  const auto line = (node != nullptr ? node->source() : table_->keys->source()).begin.line;
  return line > 0 ? fmt::format("{}:{}", table_->file, line) : table_->file;
}

void Section::fail(const std::string& key, const std::string& what, const std::string& fix) const {
  const std::string name = table_->name.empty() ? key : fmt::format("{}{}{}", title(), key.empty() ? "" : " ", key);
  throw Error(where(key), name.empty() ? what : name + ": " + what, fix);
}

void Section::allow(const std::vector<std::string>& known) const {
  for (const std::string& key : keys())
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw Error(where(key), fmt::format("unknown key \"{}\" in {}", key, title()), hint(key, known));
}

bool Section::is_section(const std::string& key) const {
  const toml::node* node = table_->keys->get(key);
  return node != nullptr && node->is_table();
}

bool Section::is_text(const std::string& key) const {
  const toml::node* node = table_->keys->get(key);
  return node != nullptr && node->is_string();
}

std::optional<Section> Section::section(const std::string& key) const {
  if (!has(key)) return std::nullopt;
  const toml::node* node = table_->keys->get(key);
  const std::string name = table_->name.empty() ? key : fmt::format("{}.{}", table_->name, key);
  if (!node->is_table())
    fail(key, fmt::format("expected a table, found {}", kind_of(*node)),
         fmt::format("write [{}] and its keys below", name));
  return Section(std::make_shared<const Table>(Table{table_->root, node->as_table(), table_->file, name}));
}

std::string Section::text(const std::string& key) const {
  const toml::node* node = table_->keys->get(key);
  if (node == nullptr) fail(key, "missing", fmt::format("add a line {} = \"…\" to {}", key, title()));
  if (!node->is_string())
    fail(key, fmt::format("expected a text in quotes, found {}", kind_of(*node)), fmt::format("{} = \"…\"", key));
  return node->as_string()->get();
}

std::string Section::text(const std::string& key, const std::string& otherwise) const {
  return has(key) ? text(key) : otherwise;
}

size_t Section::choice(const std::string& key, const std::vector<std::string>& choices) const {
  const std::string word = has(key) ? text(key) : "";
  if (word.empty()) fail(key, "missing", fmt::format("one of: {}", fmt::join(choices, ", ")));
  const auto row = std::find(choices.begin(), choices.end(), word);
  if (row == choices.end()) fail(key, fmt::format("\"{}\" is not known", word), hint(word, choices));
  return size_t(row - choices.begin());
}

bool Section::boolean(const std::string& key, bool otherwise) const {
  const toml::node* node = table_->keys->get(key);
  if (node == nullptr) return otherwise;
  if (!node->is_boolean()) fail(key, fmt::format("expected true or false, found {}", kind_of(*node)));
  return node->as_boolean()->get();
}

int64_t Section::integer(const std::string& key, int64_t otherwise, int64_t least, int64_t most) const {
  const toml::node* node = table_->keys->get(key);
  if (node == nullptr) return otherwise;
  if (!node->is_integer()) fail(key, fmt::format("expected a whole number, found {}", kind_of(*node)));
  const int64_t value = node->as_integer()->get();
  if (value < least || value > most) fail(key, fmt::format("{} is outside {} … {}", value, least, most));
  return value;
}

double Section::number(const std::string& key, double otherwise) const {
  const std::vector<double> values = numbers(key);
  if (values.size() > 1) fail(key, "expected one number, found a list");
  return values.empty() ? otherwise : values[0];
}

std::vector<double> Section::numbers(const std::string& key) const {
  const toml::node* node = table_->keys->get(key);
  if (node == nullptr) return {};
  std::vector<double> result;
  const auto take = [&](const toml::node& value) {
    if (!value.is_number()) fail(key, fmt::format("expected a number, found {}", kind_of(value)));
    const double number = *value.value<double>();
    if (!std::isfinite(number)) fail(key, "expected a finite number");
    result.push_back(number);
  };
  if (!node->is_array())
    take(*node);
  else
    for (const toml::node& value : *node->as_array()) take(value);
  if (result.empty()) fail(key, "the list is empty");
  return result;
}

Dims Section::integers(const std::string& key, int64_t least, int64_t most) const {
  Dims result;
  for (double number : numbers(key)) {
    if (number != std::floor(number)) fail(key, fmt::format("expected whole numbers, found {}", number));
    if (number < double(least) || number > double(most))
      fail(key, fmt::format("{} is outside {} … {}", number, least, most));
    result.push_back(int64_t(number));
  }
  return result;
}

std::vector<std::string> Section::texts(const std::string& key) const {
  const toml::node* node = table_->keys->get(key);
  if (node == nullptr || !node->is_array()) return {text(key)};
  std::vector<std::string> result;
  for (const toml::node& value : *node->as_array()) {
    if (!value.is_string()) fail(key, fmt::format("expected texts in quotes, found {}", kind_of(value)));
    result.push_back(value.as_string()->get());
  }
  if (result.empty()) fail(key, "the list is empty");
  return result;
}

std::vector<std::string> Section::files(const std::string& key) const {
  std::vector<std::string> result;
  for (const std::string& name : texts(key)) result.push_back(existing(key, name, false));
  return result;
}

std::string Section::existing(const std::string& key, const std::string& name, bool folder) const {
  const fs::path base = fs::path(table_->file).parent_path();
  const std::string path = (base / name).lexically_normal().string();  // an absolute name replaces base
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (!fs::exists(status))
    fail(key, fmt::format("there is no {} {}", folder ? "folder" : "file", path),
         fmt::format("paths are relative to the folder of the description, {}",
                     fs::absolute(table_->file, ignored).parent_path().string()));
  if (folder != fs::is_directory(status))
    fail(key, fmt::format("{} is {}", path, folder ? "a file, expected a folder" : "a folder, expected a file"));
  return path;
}

}  // namespace pare
