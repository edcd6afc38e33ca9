#include "passes/quantize_rules.h"

#include <fmt/format.h>

namespace pare {

const std::vector<QuantizeRule>& quantize_rules() {
  static const std::vector<QuantizeRule> rules{
      {"Conv", true, "most of the time and of the weights; 4x the arithmetic per instruction in int8"},
      {"Gemm", true, "linear layers with constant weights, as convolutions"},
      {"MatMul", true, "linear layers with constant weights, as convolutions"},
      {"Add", true, "residual sums between quantized layers: keeping them in 8 bits saves two conversions"},
      {"GlobalAveragePool", true, "a mean of 8-bit values is exact in int32"},
      {"AveragePool", true, "a mean of 8-bit values is exact in int32"},
      {"MaxPool", true, "a maximum is exact in 8 bits"},
      {"Softmax", false, "exponentials span more than 8 bits"},
      {"LogSoftmax", false, "exponentials span more than 8 bits"},
      {"LayerNormalization", false, "divides by a small standard deviation"},
      {"Concat", false, "one scale over parts of different range would destroy the smaller"},
      {"*", false, "no 8-bit form"},
  };
  return rules;
}

const QuantizeRule& rule_for(const Node& node) {
  const auto& rules = quantize_rules();
  for (const QuantizeRule& rule : rules)
    if (rule.op == "*" || (rule.op == node.op_type && node.domain.empty())) return rule;
  return rules.back();
}

std::string rules_text() {
  std::string text;
  for (const QuantizeRule& rule : quantize_rules())
    text += fmt::format("{:<20}{:<7}{}\n", rule.op == "*" ? "any other" : rule.op, rule.quantize ? "int8" : "float", rule.reason);
  return text;
}

}  // namespace pare
