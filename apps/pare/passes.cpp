#include "catalog_page.h"
#include "passes/pass.h"

namespace pare {
namespace {

CatalogPage page() {
  CatalogPage page{"Passes",
                   "Steps of a recipe, in braces their options: `quantize-static{calibration=mse}`. Written by `pare "
                   "passes --markdown`.",
                   {}};
  for (const Pass* pass : passes())
    page.entries.push_back({pass->name,
                            pass->summary,
                            {{"source", pass->source},
                             {"needs data", pass->data.empty() ? "no" : pass->data},
                             {"changes results", pass->keeps_function ? "no, up to rounding" : "yes"}},
                            pass->fields,
                            pass->rules,
                            pass->needs_training && !has_training() ? "not installed: " + training_advice() : ""});
  return page;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  return declare_catalog(app, shared, page);
}

}  // namespace

extern const Command command_passes;
const Command command_passes = {"passes", "Steps of a recipe and their options.", "pare passes quantize-static",
                                declare};

}  // namespace pare
