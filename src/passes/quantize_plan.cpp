// Which values become 8-bit, and which of them share a scale. One walk from the results to the inputs: a node that
// merely passes values on is worth quantizing only if somebody behind it reads 8 bits.
#include "passes/quantize_plan.h"

#include "graph/ops/ops.h"
#include "passes/quantize_rules.h"
#include "passes/weights.h"

namespace pare {
namespace {

bool keeps_weights(const Graph& graph, const Node& node) {
  const Tensor* weight = graph.constant(node.input(1));
  return weight != nullptr && weight->plain() && is_float(weight->type) && weight->dims.size() >= 2;
}

// Every element of the result is one of the input's, or a zero around: the input's scale serves it exactly.
bool only_moves(const Graph& graph, const Node& node) {
  if (node.is("Slice") || node.is("DepthToSpace") || node.is("SpaceToDepth")) return true;
  if (node.is("MaxPool")) return node.outputs.size() == 1 || node.outputs[1] == kNone;
  if (node.is("Resize")) return node.text("mode", "nearest") == "nearest";
  if (!node.is("Pad") || node.text("mode", "constant") != "constant") return false;
  const Tensor* value = graph.constant(node.input(2));
  return node.input(2) == kNone || (value != nullptr && value->decode().to_floats()[0] == 0);
}

// Fused into the layer in front of it: what is quantized is its result.
bool is_activation(const Node& node) { return node.is("Relu") || node.is("Clip") || node.is("LeakyRelu") || node.is("PRelu"); }

class Planning {
 public:
  Planning(const Graph& graph, const QuantizeChoice& choice) : graph_(graph), choice_(choice), producer_(graph.producers()), consumers_(graph.consumers()) {}

  QuantizePlan take() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (is_layer(graph_.nodes[n]) && keeps_weights(graph_, graph_.nodes[n])) plan_layer(n);
    for (size_t n = graph_.nodes.size(); n-- > 0;)
      if (!is_layer(graph_.nodes[n])) plan_between(n);
    return std::move(plan_);
  }

 private:
  bool activation(const Node& node, size_t i) const {
    return node.input(i) != kNone && graph_.constant(node.input(i)) == nullptr && graph_.at(node.inputs[i]).type == Type::f32;
  }
  const Node* source(ValueId id) const { return producer_[size_t(id)] < 0 ? nullptr : &graph_.nodes[size_t(producer_[size_t(id)])]; }

  std::string float_reason(const Node& node) const {
    if (name_matches(choice_.weights_only, node)) return "as the recipe says (weights-only)";
    if (node.is("ConvTranspose") && !(goes_in_phases(node) && graph_.constant(node.inputs[1])->dims.size() == 4 && node.integer("group", 1) == 1))
      return "a transposed convolution has an 8-bit form over two axes, without groups, with one stride of at most 8 and explicit pads; its weights are stored in int8";
    if (node.is("Gemm") && (node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1 || node.real("beta", 1) != 1)) return "a Gemm with factors or a transposed input has no 8-bit form";
    if (!activation(node, 0)) return "its input is no float activation";
    // A sum over probabilities (a box as the mean of a distribution) is as exact as they are; 1/255 is coarse for them.
    ValueId x = node.inputs[0];
    while (source(x) != nullptr && (source(x)->is("Reshape") || source(x)->is("Transpose"))) x = source(x)->inputs[0];
    if (source(x) != nullptr && source(x)->is("Softmax")) return "it decodes a Softmax: a step of 1/255 is coarse for small probabilities";
    return choice_.too_coarse ? choice_.too_coarse(node) : "";
  }

  void plan_layer(size_t n) {
    const Node& node = graph_.nodes[n];
    if (name_matches(choice_.exclude, node)) {
      plan_.left_out[n] = "excluded by the recipe";
      return;
    }
    const std::string reason = float_reason(node);
    if (reason.empty()) read(n, {0});
    else plan_.weights_only[n] = reason;
  }

  void read(size_t n, const std::vector<size_t>& inputs) {
    for (size_t i : inputs) {
      plan_.values.insert(graph_.nodes[n].inputs[i]);
      wanted_.insert(graph_.nodes[n].inputs[i]);
    }
    plan_.eight_bit[n] = inputs;
  }

  bool same_image(const Node& node) const {
    const auto &a = graph_.at(node.inputs[0]).shape, &b = graph_.at(node.inputs[1]).shape;
    return a && b && a->size() == 4 && *a == *b;
  }

  void plan_between(size_t n) {
    const Node& node = graph_.nodes[n];
    if (node.outputs.empty() || node.outputs[0] == kNone || name_matches(choice_.exclude, node) || name_matches(choice_.weights_only, node)) return;
    const ValueId result = node.outputs[0];
    const bool wanted = wanted_.count(result) != 0;
    if (is_activation(node)) {
      if (wanted) wanted_.insert(node.inputs[0]);
    } else if (node.is("Add")) {
      if (wanted && choice_.residual && activation(node, 0) && activation(node, 1) && same_image(node)) read(n, {0, 1});
    } else if (node.is("GlobalAveragePool") || node.is("AveragePool")) {
      const auto& shape = graph_.at(node.inputs[0]).shape;
      if (activation(node, 0) && shape && shape->size() == 4) read(n, {0});
    } else if (plan_.values.count(result) == 0) {
      return;  // not in 8 bits behind: nothing to gain
    } else if (only_moves(graph_, node)) {
      if (!activation(node, 0)) return;
      read(n, {0});
      plan_.same_scale[result] = node.inputs[0];
      if (continues_cut(n)) plan_.eight_bit[n].clear();
    } else if (node.is("Concat")) {
      plan_concat(n);
    }
  }

  // Slice and Pad behind one another (a subsampling shortcut) are one move: pairs inside it would only stand between them,
  // and OpenVINO cannot compile a channel Pad directly behind a DequantizeLinear with a zero point.
  bool continues_cut(size_t n) const {
    const auto cuts = [](const Node& node) { return node.is("Slice") || node.is("Pad"); };
    const ValueId input = graph_.nodes[n].inputs[0];
    const Node* from = source(input);
    return cuts(graph_.nodes[n]) && from != nullptr && cuts(*from) && only_moves(graph_, *from) && consumers_[size_t(input)].size() == 1 && !graph_.is_output(input);
  }

  // With the result's scale a part is rounded once and the concatenation is a copy; whether that suits the part's other
  // readers is known when the ranges are.
  void plan_concat(size_t n) {
    const Node& node = graph_.nodes[n];
    std::vector<size_t> parts;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!activation(node, i)) return;
      parts.push_back(i);
    }
    read(n, parts);
    for (ValueId part : node.inputs) {
      const Node* from = source(part);
      if (from != nullptr && only_moves(graph_, *from)) continue;  // has its source's
      if (plan_.same_scale.count(part) == 0) plan_.tied.push_back(part);
      plan_.same_scale[part] = node.outputs[0];
      bool alone = !graph_.is_output(part);
      for (int reader : consumers_[size_t(part)]) alone &= reader == int(n);
      if (alone) plan_.alone.insert(part);
    }
  }

  const Graph& graph_;
  const QuantizeChoice& choice_;
  const std::vector<int> producer_;
  const std::vector<std::vector<int>> consumers_;
  std::set<ValueId> wanted_;  // quantized, or quantized behind the activation function that reads them
  QuantizePlan plan_;
};

}  // namespace

bool is_layer(const Node& node) { return node.is("Conv") || node.is("Gemm") || node.is("MatMul") || node.is("ConvTranspose"); }

ValueId QuantizePlan::scale_source(ValueId value) const {
  // Ends: moves lead back to where their chain begins, concatenations forward, and their results are nobody's move.
  for (auto at = same_scale.find(value); at != same_scale.end(); at = same_scale.find(value)) value = at->second;
  return value;
}

QuantizePlan plan_quantization(const Graph& graph, const QuantizeChoice& choice) { return Planning(graph, choice).take(); }

}  // namespace pare
