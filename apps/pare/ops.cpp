#include "catalog_page.h"
#include "graph/op.h"

namespace pare {
namespace {

CatalogPage page() {
  CatalogPage page{
      "Operators",
      "Every other operator is kept in files as it is, but cannot be executed here. Written by `pare ops --markdown`.",
      {}};
  const auto range = [](int least, int most) {
    return most < 0        ? std::to_string(least) + " or more"
           : least == most ? std::to_string(least)
                           : std::to_string(least) + " to " + std::to_string(most);
  };
  for (const Op* op : ops())
    page.entries.push_back({*op->domain != 0 ? std::string(op->domain) + "." + op->name : op->name,
                            op->summary,
                            {{"inputs", range(op->inputs_least, op->inputs_most)},
                             {"outputs", range(op->outputs_least, op->outputs_most)}},
                            {},
                            "",
                            ""});
  return page;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  return declare_catalog(app, shared, page);
}

}  // namespace

extern const Command command_ops;
const Command command_ops = {"ops", "Operators that can be executed.", "pare ops Conv", declare};

}  // namespace pare
