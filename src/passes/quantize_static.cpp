// Static int8: every activation that a quantized layer reads gets QuantizeLinear/DequantizeLinear with a scale from
// calibration; weights are int8 per output channel, biases int32 in units of (input scale · weight scale).
#include <algorithm>
#include <cmath>
#include <set>

#include "codecs/codecs.h"
#include "passes/pass.h"
#include "passes/quantize_rules.h"
#include "passes/statistics/histogram.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct QuantizeStatic {
  std::string calibration = "minmax";
  double percentile = 99.99;
  std::string activations = "auto";
  bool residual = true;
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<QuantizeStatic>()
        .word("calibration", &QuantizeStatic::calibration, {"minmax", "percentile", "mse", "entropy"},
              "how the range of an activation follows from the calibration data", {"minmax", "percentile", "mse", "entropy"})
        .number("percentile", &QuantizeStatic::percentile, 90, 100, "%", "for calibration=percentile: the share of values kept inside the range, per side", {"99.9", "99.99", "99.999"})
        .word("activations", &QuantizeStatic::activations, {"auto", "u8", "s8"}, "type of quantized activations; auto takes what this CPU multiplies fast (u8 on x86)")
        .flag("residual", &QuantizeStatic::residual, "quantize residual sums too, so that a whole network stays in 8 bits")
        .word("exclude", &QuantizeStatic::exclude, {}, "layers left in float32: names or operators, * for anything, | between them")
        .take();
  }
};

// The inputs of `node` that become 8-bit, empty if the node stays in float.
std::vector<size_t> quantized_inputs(const Graph& graph, const Node& node, const QuantizeStatic& options) {
  const QuantizeRule& rule = rule_for(node);
  if (!rule.quantize || name_matches(options.exclude, node)) return {};
  auto activation = [&](size_t i) {
    return node.input(i) != kNone && graph.constant(node.input(i)) == nullptr && graph.at(node.inputs[i]).type == Type::f32;
  };
  if (node.is("Conv") || node.is("Gemm") || node.is("MatMul")) {
    const Tensor* weight = graph.constant(node.input(1));
    if (weight == nullptr || !weight->plain() || !is_float(weight->type) || weight->dims.size() < 2 || !activation(0)) return {};
    if (node.is("Gemm") && (node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1 || node.real("beta", 1) != 1)) return {};
    return {0};
  }
  if (node.is("Add")) {
    if (!options.residual || !activation(0) || !activation(1)) return {};
    const auto &a = graph.at(node.inputs[0]).shape, &b = graph.at(node.inputs[1]).shape;
    if (!a || !b || *a != *b || a->size() != 4) return {};
    return {0, 1};
  }
  return activation(0) && graph.at(node.inputs[0]).shape && graph.at(node.inputs[0]).shape->size() == 4 ? std::vector<size_t>{0} : std::vector<size_t>{};
}

std::set<ValueId> quantized_values(const Graph& graph, const QuantizeStatic& options) {
  std::set<ValueId> values;
  for (const Node& node : graph.nodes)
    for (size_t i : quantized_inputs(graph, node, options)) values.insert(node.inputs[i]);
  return values;
}

void request(const Graph& graph, const QuantizeStatic& options, Observations& observations) {
  for (ValueId id : quantized_values(graph, options)) observations[graph.at(id).name] = std::make_shared<Histogram>();
}

struct Quantizer {
  float scale = 1;
  int zero = 0;
  Type type = Type::u8;
};

// The range always holds 0, so that padding and ReLU's zeros are exact.
Quantizer quantizer_of(const Histogram& histogram, const QuantizeStatic& options, Type type) {
  ValueRange range = choose_range(histogram, options.calibration, options.percentile, 256);
  range.low = std::min(range.low, 0.f);
  range.high = std::max(range.high, 0.f);
  const double span = double(range.high) - range.low;
  if (!(span > 0)) return {1, type == Type::u8 ? 0 : -128, type};
  const float scale = float(span / 255);
  const int zero = int(std::clamp(std::nearbyint(-double(range.low) / scale), 0.0, 255.0));
  return {scale, type == Type::u8 ? zero : zero - 128, type};
}

// value → Q → DQ; returns the dequantized value.
ValueId insert_pair(Graph& graph, ValueId value, const Quantizer& q) {
  const std::string name = graph.at(value).name;
  const auto shape = graph.at(value).shape;
  const ValueId scale = graph.add_constant(name + "_s", Array::scalar<float>(q.scale));
  const ValueId zero = graph.add_constant(name + "_z", q.type == Type::u8 ? Array::scalar<uint8_t>(uint8_t(q.zero)) : Array::scalar<int8_t>(int8_t(q.zero)));
  const ValueId stored = graph.add_value(graph.unique_name(name + "_q"), q.type, shape);
  const ValueId back = graph.add_value(graph.unique_name(name + "_d"), Type::f32, shape);
  graph.add_node("QuantizeLinear", {value, scale, zero}, {stored});
  graph.add_node("DequantizeLinear", {stored, scale, zero}, {back});
  return back;
}

// int8 per output channel. The scale is widened where the bias would not fit int32 in units of input scale · scale.
Tensor quantized_weight(const Array& weight, int axis, const std::vector<float>& bias, float input_scale) {
  Tensor tensor = codec_int8.encode(weight.cast(Type::f32), axis, 0);
  if (bias.empty()) return tensor;
  auto scales = tensor.parts[1].mutable_values<float>();
  bool widened = false;
  for (size_t c = 0; c < scales.size() && c < bias.size(); ++c) {
    const float least = std::abs(bias[c]) / (float(1 << 30) * input_scale);
    widened |= scales[c] < least;
    scales[c] = std::max(scales[c], least);
  }
  if (!widened) return tensor;
  const Array scale = tensor.parts[1];
  Array values(Type::i32, weight.dims());
  const std::vector<float> w = weight.to_floats();
  auto q = values.mutable_values<int32_t>();
  int64_t inner = 1;
  for (int i = axis + 1; i < weight.rank(); ++i) inner *= weight.dim(i);
  for (size_t i = 0; i < w.size(); ++i) {
    const auto c = size_t(int64_t(i) / inner % weight.dim(axis));
    q[i] = int32_t(std::clamp(std::nearbyint(w[i] / scale.values<float>()[c]), -127.f, 127.f));
  }
  return affine_tensor(values.cast(Type::i8), scale, Array(), axis);
}

Tensor quantized_bias(const std::vector<float>& bias, const Array& weight_scale, float input_scale) {
  Array scale(Type::f32, {int64_t(bias.size())}), values(Type::i32, {int64_t(bias.size())});
  auto s = scale.mutable_values<float>();
  auto q = values.mutable_values<int32_t>();
  for (size_t c = 0; c < bias.size(); ++c) {
    s[c] = input_scale * weight_scale.values<float>()[weight_scale.count() == 1 ? 0 : c];
    q[c] = int32_t(std::clamp(std::nearbyint(double(bias[c]) / s[c]), -2147483647.0, 2147483647.0));
  }
  return affine_tensor(values, scale, Array(), 0);
}

// Weight and bias of one layer; both get a constant of their own, since the bias' scale depends on this layer's input.
void quantize_layer(Graph& graph, size_t n, float input_scale) {
  const ValueId weight_id = graph.nodes[n].inputs[1], bias_id = graph.nodes[n].input(2);
  const Node& node = graph.nodes[n];
  const int rank = int(graph.constant(weight_id)->dims.size());
  const int axis = node.is("Conv") ? 0 : node.is("Gemm") ? (node.integer("transB", 0) != 0 ? 0 : 1) : rank - 1;
  const Tensor* bias = graph.constant(bias_id);
  const std::vector<float> b = bias != nullptr && bias->dims.size() == 1 ? bias->decode().to_floats() : std::vector<float>();
  const Tensor weight = quantized_weight(graph.constant(weight_id)->decode(), axis, b, input_scale);
  if (!b.empty()) graph.nodes[n].inputs[2] = graph.add_constant(graph.at(bias_id).name, quantized_bias(b, weight.parts[1], input_scale));
  graph.nodes[n].inputs[1] = graph.add_constant(graph.at(weight_id).name, weight);
}

void run(Graph& graph, const QuantizeStatic& options, PassRun& pass) {
  const Type type = options.activations == "s8" ? Type::i8 : Type::u8;
  std::map<ValueId, std::pair<ValueId, Quantizer>> done;
  const size_t count = graph.nodes.size();
  std::map<std::string, std::string> kept;
  for (size_t n = 0; n < count; ++n) {
    const std::vector<size_t> inputs = quantized_inputs(graph, graph.nodes[n], options);
    const QuantizeRule& rule = rule_for(graph.nodes[n]);
    if (inputs.empty()) {
      if (name_matches(options.exclude, graph.nodes[n])) pass.notes.push_back(graph.nodes[n].where() + " stays in float32: excluded by the recipe");
      else if (!rule.quantize && rule.op != "*") kept[rule.op] = rule.reason;
      continue;
    }
    for (size_t i : inputs) {
      const ValueId x = graph.nodes[n].inputs[i];
      if (!done.count(x)) {
        auto it = pass.observed.find(graph.at(x).name);
        if (it == pass.observed.end()) throw Error(graph.at(x).name, "was not measured: the recipe changed the graph between fold and quantize");
        const Quantizer q = quantizer_of(static_cast<const Histogram&>(*it->second), options, type);
        done[x] = {insert_pair(graph, x, q), q};
      }
      graph.nodes[n].inputs[i] = done[x].first;
      if (i == 0 && graph.constant(graph.nodes[n].input(1)) != nullptr) quantize_layer(graph, n, done[x].second.scale);
    }
    ++pass.changed;
  }
  for (const auto& [op, reason] : kept) pass.notes.push_back("every " + op + " stays in float32: " + reason);
  graph.sort();
}

}  // namespace

Pass pass_quantize_static() {
  return declare_pass<QuantizeStatic>("quantize-static", "Static int8: weights per channel, activations by calibration. Needs data.",
                                      "Jacob et al. 2018, sections 2-3; Krishnamoorthi 2018, section 3.1.2", false, run, request);
}

}  // namespace pare
