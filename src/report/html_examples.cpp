#include <fmt/format.h>

#include <algorithm>

#include "report/figures.h"
#include "report/html.h"

namespace pare {
namespace {

std::string figure(const Sheet& sheet, const ExamplePicture& picture) {
  const bool is_row = picture.row >= 0 && size_t(picture.row) < sheet.names.size();
  const std::string name = is_row ? sheet.names[size_t(picture.row)] : picture.caption;
  return fmt::format(
      "<figure{}><img alt=\"{}\" src=\"data:image/png;base64,{}\"><figcaption>{}<small>{}</small></figcaption></figure>",
      is_row && sheet.choice.row && *sheet.choice.row == size_t(picture.row) ? " class=\"pick\"" : "", escaped(name, 200),
      picture.png, escaped(name, 200), is_row ? escaped(picture.caption, 100) : "&nbsp;");
}

}  // namespace

std::string examples_section(const Sheet& sheet, const PageLimits& limits) {
  const size_t count = std::min(limits.examples, sheet.table.examples.size());
  if (count == 0) return "";
  std::string html;
  html +=
      "<section id=\"examples\"><h2>Before and after</h2><p>Where there is a target, the details in which a compressed model’s picture "
      "differs most from the baseline’s, out of pictures spread over the test data, with decibels against the target. Where there is "
      "none, what each model makes, with decibels against the baseline.</p>";
  for (size_t i = 0; i < count; ++i) {
    const Example& example = sheet.table.examples[i];
    html += "<h3>" + escaped(example.title, 200) + "</h3><div class=\"exhibit\">";
    for (const ExamplePicture& picture : example.pictures)
      if (html.size() <= hopeless_bytes) html += figure(sheet, picture);
    html += "</div>";
  }
  return html + "</section>";
}

}  // namespace pare
