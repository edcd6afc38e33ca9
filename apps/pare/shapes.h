#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/array.h"

namespace pare {

Dims parse_dims(const std::string& text);  // "1x3x32x32", "scalar"; throws UsageError
// "NAME=1x3x32x32" or, for the first input, "1x3x32x32".
std::map<std::string, Dims> parse_shapes(const std::vector<std::string>& texts);

}  // namespace pare
