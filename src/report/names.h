#pragma once
#include <string>
#include <vector>

#include "base/row.h"

namespace pare {

// A short name for every row: its own, else its recipe's passes with as few options as tell the rows apart
// ("quantize-static entropy"), else its file's name.
std::vector<std::string> row_names(const Table& table);

// The part of a path after the last '/'.
std::string file_name(const std::string& path);

}  // namespace pare
