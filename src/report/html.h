#pragma once
#include <string>

#include "report/columns.h"

namespace pare {

// How much of a table the page holds; tightened until the page is small enough.
struct PageLimits {
  size_t rows, layers_per_row, text_bytes, examples;
};

// A section that grows beyond this cannot fit: its writer stops, and the page is written again with tighter limits.
constexpr size_t hopeless_bytes = 1'000'000;

// Text for HTML, between tags or in a quoted attribute: markup escaped, control characters dropped, and what exceeds
// `most` bytes cut with a remark.
std::string escaped(const std::string& text, size_t most = 2000);

// The page's sections, each "" where there is nothing to show.
std::string table_section(const Sheet& sheet, const PageLimits& limits);
std::string charts_section(const Sheet& sheet);
std::string pruning_section(const Sheet& sheet);
std::string examples_section(const Sheet& sheet, const PageLimits& limits);
std::string layers_section(const Sheet& sheet, const PageLimits& limits);
std::string recipes_section(const Sheet& sheet, const PageLimits& limits);
std::string about_section(const Sheet& sheet);

extern const char* const page_style;
extern const char* const page_script;

}  // namespace pare
