#include <fmt/format.h>

#include <algorithm>

#include "report/figures.h"
#include "report/html.h"

namespace pare {
namespace {

// Names stand above their box, or inside at its top where it begins at the picture's edge. Sizes are pixels of the
// photo.
constexpr double kText = 13, kWide = 7;  // height of a line, mean width of a letter

std::string box_svg(const ExampleBox& box, const Example& photo) {
  const double width = std::max(0.0, box.right - box.left), height = std::max(0.0, box.bottom - box.top);
  const std::string text = escaped(box.text, 60);
  const double label = kWide * double(box.text.size()) + 8;
  const double x = std::clamp(box.left, 0.0, std::max(0.0, double(photo.photo_width) - label));
  const double y = box.top >= kText + 4 ? box.top - kText - 4 : box.top;
  return fmt::format(
      "<g class=\"{}\"><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>"
      "<path d=\"M{:.1f} {:.1f}h{:.1f}v{:.1f}h-{:.1f}z\"/><text x=\"{:.1f}\" y=\"{:.1f}\">{}</text></g>",
      escaped(box.kind, 10), box.left, box.top, width, height, x, y, label, kText + 4, label, x + 4, y + kText, text);
}

// The photo is part of the page once; every picture of the example shows it.
std::string photo_svg(const Example& example, const std::string& id, const ExamplePicture& picture,
                      const std::string& name) {
  std::string svg = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", example.photo_width,
                                example.photo_height, name);
  if (&picture == &example.pictures.front())
    svg += fmt::format("<image id=\"{}\" width=\"{}\" height=\"{}\" href=\"data:image/jpeg;base64,{}\"/>", id,
                       example.photo_width, example.photo_height, example.photo);
  else
    svg += fmt::format("<use href=\"#{}\"/>", id);
  // The largest first, so that a small one lies on top.
  std::vector<ExampleBox> boxes = picture.boxes;
  std::stable_sort(boxes.begin(), boxes.end(), [](const ExampleBox& a, const ExampleBox& b) {
    return (a.right - a.left) * (a.bottom - a.top) > (b.right - b.left) * (b.bottom - b.top);
  });
  for (const ExampleBox& box : boxes)
    if (svg.size() <= hopeless_bytes) svg += box_svg(box, example);
  return svg + "</svg>";
}

std::string figure(const Sheet& sheet, const Example& example, const std::string& id, const ExamplePicture& picture) {
  const bool is_row = picture.row >= 0 && size_t(picture.row) < sheet.names.size();
  const std::string name = escaped(is_row ? sheet.names[size_t(picture.row)] : picture.caption, 200);
  const std::string shown = picture.png.empty() && !example.photo.empty()
                                ? photo_svg(example, id, picture, name)
                                : fmt::format("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", name, picture.png);
  return fmt::format("<figure{}>{}<figcaption>{}<small>{}</small></figcaption></figure>",
                     is_row && sheet.choice.row && *sheet.choice.row == size_t(picture.row) ? " class=\"pick\"" : "",
                     shown, name, is_row ? escaped(picture.caption, 100) : "&nbsp;");
}

}  // namespace

std::string examples_section(const Sheet& sheet, const PageLimits& limits) {
  const size_t count = std::min(limits.examples, sheet.table.examples.size());
  if (count == 0) return "";
  std::string html =
      "<section id=\"examples\"><h2>Before and after</h2><p>" + escaped(sheet.table.examples_about) + "</p>";
  for (size_t i = 0; i < count; ++i) {
    const Example& example = sheet.table.examples[i];
    html += fmt::format("<h3>{}</h3><div class=\"exhibit{}\">", escaped(example.title, 200),
                        example.photo.empty() ? "" : " photos");
    for (const ExamplePicture& picture : example.pictures)
      if (html.size() <= hopeless_bytes) html += figure(sheet, example, fmt::format("photo{}", i), picture);
    html += "</div>";
  }
  return html + "</section>";
}

}  // namespace pare
