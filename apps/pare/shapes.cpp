#include "shapes.h"

namespace pare {

Dims parse_dims(const std::string& text) {
  Dims dims;
  for (size_t at = 0; text != "scalar" && at <= text.size();) {
    const size_t end = std::min(text.find('x', at), text.size());
    const std::string part = text.substr(at, end - at);
    if (part.empty() || part.size() > 9 || part.find_first_not_of("0123456789") != std::string::npos ||
        std::stoll(part) < 1)
      throw UsageError("--shape", "cannot read '" + text + "'", "write extents as 1x3x32x32");
    dims.push_back(std::stoll(part));
    at = end + 1;
  }
  return dims;
}

std::map<std::string, Dims> parse_shapes(const std::vector<std::string>& texts) {
  std::map<std::string, Dims> shapes;
  for (const std::string& text : texts) {
    const size_t equals = text.rfind('=');  // a name may hold any character
    shapes[equals == std::string::npos ? "" : text.substr(0, equals)] =
        parse_dims(equals == std::string::npos ? text : text.substr(equals + 1));
  }
  return shapes;
}

}  // namespace pare
