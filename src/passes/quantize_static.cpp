// Static int8: every activation that a quantized layer reads gets QuantizeLinear/DequantizeLinear with a scale from
// calibration; weights are int8 per output channel, biases int32 in units of (input scale · weight scale).
#include <algorithm>
#include <cmath>
#include <set>

#include "codecs/codecs.h"
#include "graph/simplify.h"
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

// Where a value only moves (every pixel in its place or left out, zeros around), its source's scale serves it exactly.
bool only_moves(const Graph& graph, const Node& node) {
  if (node.is("Slice")) return true;
  if (!node.is("Pad") || node.text("mode", "constant") != "constant") return false;
  const Tensor* value = graph.constant(node.input(2));
  return node.input(2) == kNone || (value != nullptr && value->decode().to_floats()[0] == 0);
}

// The value that `id` is moved from, by the nodes in between; `id` itself where nothing moves it.
ValueId source_of(const Graph& graph, const std::vector<int>& producer, ValueId id) {
  while (size_t(id) < producer.size() && producer[size_t(id)] >= 0) {
    const Node& node = graph.nodes[size_t(producer[size_t(id)])];
    if (!only_moves(graph, node) || graph.constant(node.inputs[0]) != nullptr) break;
    id = node.inputs[0];
  }
  return id;
}

std::set<ValueId> quantized_values(const Graph& graph, const QuantizeStatic& options) {
  std::set<ValueId> values;
  const std::vector<int> producer = graph.producers();
  for (const Node& node : graph.nodes)
    for (size_t i : quantized_inputs(graph, node, options)) values.insert(source_of(graph, producer, node.inputs[i]));
  return values;
}

void request(const Graph& graph, const QuantizeStatic& options, Observations& observations) {
  for (ValueId id : quantized_values(graph, options)) observations[graph.at(id).name] = std::make_shared<Histogram>(options.calibration != "minmax");
}

struct Quantizer {
  float scale = 1;
  int zero = 0;
};

// The range always holds 0, so that padding and ReLU's zeros are exact.
Quantizer quantizer_of(const Histogram& histogram, const QuantizeStatic& options, Type type) {
  ValueRange range = choose_range(histogram, options.calibration, options.percentile, 256);
  range.low = std::min(range.low, 0.f);
  range.high = std::max(range.high, 0.f);
  const double span = double(range.high) - range.low;
  if (!(span > 0)) return {1, type == Type::u8 ? 0 : -128};
  const float scale = float(span / 255);
  const int zero = int(std::clamp(std::nearbyint(-double(range.low) / scale), 0.0, 255.0));
  return {scale, type == Type::u8 ? zero : zero - 128};
}

// Puts Q → DQ behind values, once each; values that are only moved share their source's scale and zero point.
class PairInserter {
 public:
  PairInserter(Graph& graph, const QuantizeStatic& options, const PassRun& pass, Type type)
      : graph_(graph), options_(options), pass_(pass), type_(type), producer_(graph.producers()) {
    // Before the first change, since afterwards moves read dequantized values.
    for (ValueId id = 0; id < ValueId(graph.values.size()); ++id) origin_.push_back(source_of(graph, producer_, id));
  }

  // The dequantized form of `value`, and its scale.
  std::pair<ValueId, float> behind(ValueId value) {
    const ValueId source = origin_[size_t(value)];
    if (!parameters_.count(source)) parameters_[source] = measured(source);
    const Parameters& p = parameters_[source];
    if (source != value) {  // the first move reads the quantized source
      const ValueId back = pair(source, p);
      auto move_of = [&](ValueId moved) { return size_t(producer_[size_t(moved)]); };
      ValueId first = value;
      while (graph_.nodes[move_of(first)].inputs[0] != source && graph_.nodes[move_of(first)].inputs[0] != back) first = graph_.nodes[move_of(first)].inputs[0];
      graph_.nodes[move_of(first)].inputs[0] = back;
    }
    return {pair(value, p), p.quantizer.scale};
  }

 private:
  struct Parameters {
    Quantizer quantizer;
    ValueId scale = kNone, zero = kNone;
  };
  Parameters measured(ValueId source) {
    const std::string name = graph_.at(source).name;
    auto it = pass_.observed.find(name);
    if (it == pass_.observed.end()) throw Error("value '" + name + "'", "was not measured: passes in front of quantize-static changed the graph's values");
    Parameters p;
    p.quantizer = quantizer_of(static_cast<const Histogram&>(*it->second), options_, type_);
    p.scale = graph_.add_constant(name + "_s", Array::scalar<float>(p.quantizer.scale));
    p.zero = graph_.add_constant(name + "_z", type_ == Type::u8 ? Array::scalar<uint8_t>(uint8_t(p.quantizer.zero)) : Array::scalar<int8_t>(int8_t(p.quantizer.zero)));
    return p;
  }
  ValueId pair(ValueId value, const Parameters& p) {
    if (auto it = done_.find(value); it != done_.end()) return it->second;
    const std::string name = graph_.at(value).name;
    const auto shape = graph_.at(value).shape;
    const ValueId stored = graph_.add_value(graph_.unique_name(name + "_q"), type_, shape);
    const ValueId back = graph_.add_value(graph_.unique_name(name + "_d"), Type::f32, shape);
    graph_.add_node("QuantizeLinear", {value, p.scale, p.zero}, {stored});
    graph_.add_node("DequantizeLinear", {stored, p.scale, p.zero}, {back});
    return done_[value] = back;
  }

  Graph& graph_;
  const QuantizeStatic& options_;
  const PassRun& pass_;
  Type type_;
  std::vector<int> producer_;
  std::vector<ValueId> origin_;
  std::map<ValueId, Parameters> parameters_;   // by source
  std::map<ValueId, ValueId> done_;
};

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
  if (const int folded = fold_batch_norms(graph)) pass.notes.push_back("merged " + std::to_string(folded) + " batch normalizations first: between a layer and its quantizer they would keep it in float");
  const Type type = options.activations == "s8" ? Type::i8 : Type::u8;
  PairInserter pairs(graph, options, pass, type);
  const size_t count = graph.nodes.size();
  std::map<std::string, std::string> kept;
  for (size_t n = 0; n < count; ++n) {
    const std::vector<size_t> inputs = quantized_inputs(graph, graph.nodes[n], options);
    const QuantizeRule& rule = rule_for(graph.nodes[n]);
    if (inputs.empty()) {
      if (name_matches(options.exclude, graph.nodes[n])) pass.notes.push_back(graph.nodes[n].where() + " stays in float32: excluded by the recipe");
      else if (!rule.quantize && rule.op != "*" && graph.at(graph.nodes[n].outputs[0]).type == Type::f32) kept[rule.op] = rule.reason;
      continue;
    }
    for (size_t i : inputs) {
      const auto [back, scale] = pairs.behind(graph.nodes[n].inputs[i]);
      graph.nodes[n].inputs[i] = back;
      if (i == 0 && graph.constant(graph.nodes[n].input(1)) != nullptr) quantize_layer(graph, n, scale);
    }
    ++pass.changed;
  }
  for (const auto& [op, reason] : kept) pass.notes.push_back("every " + op + " stays in float32: " + reason);
  graph.sort();
}

}  // namespace

Pass pass_quantize_static() {
  Pass pass = declare_pass<QuantizeStatic>("quantize-static", "Static int8: weights per channel, activations by calibration. Needs data.",
                                      "Jacob et al. 2018, sections 2-3; Krishnamoorthi 2018, section 3.1.2", false, run, request);
  pass.rules = "operators, the first rule that fits decides; exclude= adds to them\n" + rules_text();
  return pass;
}

}  // namespace pare
