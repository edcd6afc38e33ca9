#include "data/json_lines.h"

#include <fmt/format.h>

#include "base/error.h"
#include "data/bytes.h"

namespace pare {
namespace {

std::string known_keys(const Json& object) {
  std::string names;
  for (const auto& [key, value] : object.items()) names += (names.empty() ? "" : ", ") + key;
  return "the line has: " + (names.empty() ? "nothing" : names);
}

}  // namespace

void read_json_lines(const std::string& path, const std::function<void(const Json&, const std::string&)>& see) {
  const Bytes file = map_bytes(path);
  const std::string_view text(reinterpret_cast<const char*>(file.view.data()), file.view.size());
  int64_t number = 0;
  for (size_t start = 0; start < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    start = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path, number + 1);
    const Json object = Json::parse(line, nullptr, false);
    if (object.is_discarded() || !object.is_object())
      throw Error(where, "the line is not a JSON object", "JSONL holds one {\"key\": value, …} a line");
    see(object, where);
  }
}

const Json& json_member(const Json& object, const std::string& key, const std::string& where) {
  const auto at = object.find(key);
  if (at == object.end() || at->is_null())
    throw Error(where, fmt::format("there is no key \"{}\"", key), known_keys(object));
  return *at;
}

std::string json_text(const Json& object, const std::string& key, const std::string& where) {
  const Json& text = json_member(object, key, where);
  if (!text.is_string()) throw Error(where, fmt::format("\"{}\" is not a text", key));
  return text.get<std::string>();
}

}  // namespace pare
