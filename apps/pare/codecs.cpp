#include "codecs/codecs.h"

#include "catalog_page.h"

namespace pare {
namespace {

CatalogPage page() {
  CatalogPage page{"Codecs", "How weights are stored. Written by `pare codecs --markdown`.", {}};
  for (const Codec* codec : codecs())
    page.entries.push_back(
        {codec->name, codec->summary, {{"axis and group", codec->parameters}}, {}, codec->layout, ""});
  return page;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  return declare_catalog(app, shared, page);
}

}  // namespace

extern const Command command_codecs;
const Command command_codecs = {"codecs", "How weights are stored.", "pare codecs int8", declare};

}  // namespace pare
