#include "passes/quantize_rules.h"

#include <fmt/format.h>

namespace pare {

const std::vector<QuantizeRule>& quantize_rules() {
  static const std::vector<QuantizeRule> rules{
      {"Conv", true, "most of the time and of the weights; 4x the arithmetic per instruction in int8"},
      {"Gemm", true, "linear layers with constant weights, as convolutions"},
      {"MatMul", true, "linear layers with constant weights, as convolutions", "both sides are activations"},
      {"ConvTranspose", true, "as a convolution for each phase of its stride", "its weights are no constant"},
      {"Add", true, "residual sums between quantized layers: keeping them in 8 bits saves two conversions", "it leads to no quantized layer, or is no sum of two images"},
      {"GlobalAveragePool", true, "a mean of 8-bit values is exact in int32", "it averages no image"},
      {"AveragePool", true, "a mean of 8-bit values is exact in int32", "it averages no image"},
      {"MaxPool", true, "only moves values: in front of a quantized layer it keeps its input's scale", "it leads to no quantized layer"},
      {"Resize", true, "nearest only moves values, as MaxPool; other modes compute in float", "it interpolates, or leads to no quantized layer"},
      {"DepthToSpace", true, "only moves values, as MaxPool", "it leads to no quantized layer"},
      {"Concat", true, "in front of a quantized layer: parts nobody else reads take the result's scale, others keep their own",
       "it leads to no quantized layer; one scale over parts of different range (boxes beside scores) would destroy the smaller"},
      {"Softmax", false, "exponentials span more than 8 bits"},
      {"LogSoftmax", false, "exponentials span more than 8 bits"},
      {"LayerNormalization", false, "divides by a small standard deviation"},
      {"InstanceNormalization", false, "divides by a small standard deviation"},
      {"Exp", false, "box sizes as exponentials span more than 8 bits"},
      {"*", false, "no 8-bit form; an activation function is fused into the layer in front of it"},
  };
  return rules;
}

const QuantizeRule& rule_for(const Node& node) {
  const auto& rules = quantize_rules();
  for (const QuantizeRule& rule : rules)
    if (rule.op == "*" || (rule.op == node.op_type && node.domain.empty())) return rule;
  return rules.back();
}

const QuantizeRule& rule_for_type(const std::string& op) {
  const auto& rules = quantize_rules();
  for (const QuantizeRule& rule : rules)
    if (rule.op == op) return rule;
  return rules.back();
}

std::string rules_text() {
  std::string text;
  for (const QuantizeRule& rule : quantize_rules())
    text += fmt::format("{:<20}{:<7}{}\n", rule.op == "*" ? "any other" : rule.op, rule.quantize ? "int8" : "float", rule.reason);
  return text;
}

}  // namespace pare
