#include "catalog_page.h"
#include "formats/format.h"

namespace pare {
namespace {

CatalogPage page() {
  CatalogPage page{
      "Formats", "Files that models are read from and written to. Written by `pare formats --markdown`.", {}};
  for (const Format* format : formats())
    page.entries.push_back({format->name,
                            format->summary,
                            {{"ending", format->extension},
                             {"read", format->read != nullptr ? "yes" : "no"},
                             {"written", format->write != nullptr ? "yes" : "no"}},
                            {},
                            "",
                            ""});
  return page;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  return declare_catalog(app, shared, page);
}

}  // namespace

extern const Command command_formats;
const Command command_formats = {"formats", "Files that models are read from and written to.", "pare formats onnx",
                                 declare};

}  // namespace pare
