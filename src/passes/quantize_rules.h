#pragma once
#include <string>
#include <vector>

#include "graph/graph.h"

namespace pare {

// What static quantization does with an operator. Ordered; the first match decides. Printed by `pare passes quantize-static`.
struct QuantizeRule {
  std::string op;        // operator type
  bool quantize;         // its activation inputs become 8-bit
  std::string reason;
  std::string otherwise = "";  // why a node of it stays in float all the same; empty: `reason`
};
const std::vector<QuantizeRule>& quantize_rules();
const QuantizeRule& rule_for(const Node& node);
const QuantizeRule& rule_for_type(const std::string& op);
std::string rules_text();  // one line a rule, aligned

}  // namespace pare
