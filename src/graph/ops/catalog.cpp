#include <map>

#include "graph/op.h"

namespace pare {

#define OP(name) extern const Op op_##name;
#include "graph/ops/catalog.inc"
#undef OP

std::span<const Op* const> ops() {
  static const Op* const all[] = {
#define OP(name) &op_##name,
#include "graph/ops/catalog.inc"
#undef OP
  };
  return all;
}

const Op* find_op(std::string_view name, std::string_view domain) {
  static const auto by_name = [] {
    std::map<std::pair<std::string_view, std::string_view>, const Op*> map;
    for (const Op* op : ops()) map[{op->name, op->domain}] = op;
    return map;
  }();
  auto it = by_name.find({name, domain});
  return it == by_name.end() ? nullptr : it->second;
}

}  // namespace pare
