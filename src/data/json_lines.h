#pragma once
// Files of JSON objects, one a line.
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace pare {

using Json = nlohmann::json;

// Calls see(object, "file:line") for every line that is not empty. Throws Error where one is no JSON object.
void read_json_lines(const std::string& path, const std::function<void(const Json&, const std::string& where)>& see);

// A member that must be there and not null; throws Error (where) naming what the line has.
const Json& json_member(const Json& object, const std::string& key, const std::string& where);
std::string json_text(const Json& object, const std::string& key, const std::string& where);

}  // namespace pare
