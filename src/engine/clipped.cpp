#include "engine/clipped.h"

namespace pare {

Clipped clip_behind(const Planner& planner, ValueId value, bool allow_residual) {
  Clipped clipped;
  clipped.result = value;
  const auto take = [&](int next) {
    const Node& node = planner.graph.nodes[size_t(next)];
    clipped.nodes.push_back(next);
    clipped.text += "+" + node.op_type;
    clipped.result = node.outputs[0];
  };
  const auto bound = [&](const Node& node, size_t input, const char* key, float fallback) -> std::optional<float> {
    if (node.input(input) == kNone) return node.real(key, fallback);
    const Tensor* tensor = planner.graph.constant(node.input(input));
    return tensor != nullptr && tensor->count() == 1 ? std::optional(tensor->decode().to_floats()[0]) : std::nullopt;
  };
  int next = planner.only_consumer(value);
  if (allow_residual && next >= 0 && planner.graph.nodes[size_t(next)].is("Add")) {
    const Node& node = planner.graph.nodes[size_t(next)];
    const ValueId other = node.inputs[0] == value ? node.inputs[1] : node.inputs[0];
    if (other != value && planner.graph.constant(other) == nullptr && planner.existing(other) && planner.dims(other) == planner.dims(value)) {
      clipped.residual = other;
      take(next);
      next = planner.only_consumer(clipped.result);
    }
  }
  if (next < 0) return clipped;
  const Node& node = planner.graph.nodes[size_t(next)];
  if (node.is("Relu")) {
    clipped.low = 0;
    take(next);
  } else if (node.is("Clip")) {
    const auto low = bound(node, 1, "min", clipped.low), high = bound(node, 2, "max", clipped.high);
    if (!low || !high) return clipped;
    clipped.low = *low;
    clipped.high = *high;
    take(next);
  }
  return clipped;
}

}  // namespace pare
