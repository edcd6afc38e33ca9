#include "passes/pass.h"

namespace pare {

#define PASS(name) Pass pass_##name();
#include "passes/catalog.inc"
#undef PASS

std::span<const Pass* const> passes() {
  static const std::vector<const Pass*> all = [] {
    std::vector<const Pass*> list;
#define PASS(name) list.push_back(new Pass(pass_##name()));  // lives as long as the program
#include "passes/catalog.inc"
#undef PASS
    return list;
  }();
  return all;
}

const Pass& find_pass(const std::string& name) {
  std::vector<std::string> names;
  for (const Pass* pass : passes()) {
    if (pass->name == name) return *pass;
    names.push_back(pass->name);
  }
  const std::string near = nearest_word(name, names);
  throw UsageError("recipe", "there is no pass '" + name + "'", near.empty() ? "`pare passes` lists them" : "did you mean '" + near + "'?");
}

}  // namespace pare
