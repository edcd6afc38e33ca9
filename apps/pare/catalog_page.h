#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/fields.h"
#include "command.h"

namespace pare {

// One entry of a catalog, ready to be shown as text, JSON or Markdown.
struct CatalogEntry {
  std::string name, summary;
  std::vector<std::pair<std::string, std::string>> facts;  // label → text
  std::vector<Field> fields;                               // options, where it has any
  std::string drawing;                                     // shown as it is
  std::string mark;                                        // of this machine ("not on this CPU"): never in Markdown
};

struct CatalogPage {
  std::string title, intro;
  std::vector<CatalogEntry> entries;
};

// The command that shows a catalog: aligned list, or details of one entry; --json and --markdown.
std::function<int()> declare_catalog(CLI::App& app, const Shared& shared, CatalogPage (*page)());

}  // namespace pare
