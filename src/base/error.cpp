#include "base/error.h"

#include <fmt/format.h>

#include <stdexcept>

namespace pare {

void check_failed(const char* expression, const char* file, int line) {
  throw std::logic_error(fmt::format("internal error: {} does not hold ({}:{}); please report this", expression, file, line));
}

}  // namespace pare
