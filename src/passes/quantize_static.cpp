// Static int8: every activation that a quantized layer reads gets QuantizeLinear/DequantizeLinear with a scale from
// calibration; weights are int8 per output channel, biases int32 in units of (input scale · weight scale).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>
#include <tuple>

#include "codecs/codecs.h"
#include "graph/simplify.h"
#include "passes/fragile_layers.h"
#include "passes/pass.h"
#include "passes/quantize_plan.h"
#include "passes/quantize_rules.h"
#include "passes/weights.h"
#include "passes/statistics/activation.h"

namespace pare {
namespace {

struct QuantizeStatic {
  std::string calibration = "mse";  // a few rare values of many pictures would widen the range for all
  double percentile = 99.99;
  std::string activations = "auto";
  double bits = 8;
  double activation_bits = 8;
  std::string overflow = "auto";
  bool residual = true;
  double float_share = 0.05;
  std::string exclude;
  std::string weights_only;
  static std::vector<Field> fields() {
    return FieldList<QuantizeStatic>()
        .word("calibration", &QuantizeStatic::calibration, {"minmax", "percentile", "mse", "entropy"},
              "how the range of an activation follows from the calibration data", {"minmax", "percentile", "mse", "entropy"})
        .number("percentile", &QuantizeStatic::percentile, 90, 100, "%", "for calibration=percentile: the share of values kept inside the range, per side", {"99.9", "99.99", "99.999"})
        .word("activations", &QuantizeStatic::activations, {"auto", "u8", "s8"}, "type of quantized activations; auto takes what this CPU multiplies fast (u8 on x86)")
        .number("bits", &QuantizeStatic::bits, 2, 8, "", "of weights: 8, 4 or 2. Below 8 the first and the last layer keep 8 (their inputs too), and finetune or distil must follow to learn the steps", {"8", "4", "2"})
        .number("activation-bits", &QuantizeStatic::activation_bits, 4, 8, "", "of activations: 8 or 4, as for bits", {"8", "4"})
        .word("overflow", &QuantizeStatic::overflow, {"auto", "avoid", "allow"}, "of sums of products in 16 bits, in which CPUs without VNNI compute. avoid: weights of layers with two and more inputs are chosen so that none occurs, at the cost of about half a bit, and biases take out the mean error: 1.2 to 1.5 times as fast there. auto: where this CPU has no AVX-512 VNNI; not for the first and the last layer where the outputs would be less than 20 dB above the noise", {"avoid", "allow"})
        .flag("residual", &QuantizeStatic::residual, "quantize residual sums too, so that a whole network stays in 8 bits")
        .number("float-share", &QuantizeStatic::float_share, 0, 1, "", "share of the multiplications that may stay in float, with weights in int8, where the outputs would be less than 20 dB above the noise: the layers that cost them most, measured on two samples; 0: none", {"0", "0.05", "0.2"})
        .word("exclude", &QuantizeStatic::exclude, {}, "layers left in float32: names or operators, * for anything, | between them")
        .word("weights-only", &QuantizeStatic::weights_only, {}, "layers that store int8 weights and compute in float: small like int8, exact in their inputs; names as for exclude")
        .take();
  }
};

struct Quantizer {
  float scale = 1;
  int zero = 0;
};

// The range always holds 0, so that padding and ReLU's zeros are exact.
Quantizer quantizer_of(const Histogram& histogram, const QuantizeStatic& options, Type type) {
  const int levels = 1 << type_bits(type), lowest = type == Type::u8 || type == Type::u4 ? 0 : -levels / 2;
  ValueRange range = choose_range(histogram, options.calibration, options.percentile, levels);
  range.low = std::min(range.low, 0.f);
  range.high = std::max(range.high, 0.f);
  const double span = double(range.high) - range.low;
  if (!(span > 0)) return {1, lowest};
  const float scale = float(span / (levels - 1));
  return {scale, int(std::clamp(std::nearbyint(-double(range.low) / scale), 0.0, double(levels - 1))) + lowest};
}

// The layer's input axis in its weight, and the input channel of weight element i.
struct WeightView {
  int64_t outputs, inputs, taps, groups;
  bool inputs_first;  // [in, out] rather than [out, in/groups, taps…]
};

std::optional<WeightView> view_of(const Node& node, const Tensor& weight) {
  const int64_t first = weight.dims[0], second = weight.dims[1];
  if (node.is("Conv")) return WeightView{first, second, weight.count() / std::max<int64_t>(first * second, 1), node.integer("group", 1), false};
  if (node.is("ConvTranspose")) return WeightView{weight.count() / std::max<int64_t>(first, 1), first, 1, 1, true};  // outputs and their taps alike
  if (weight.dims.size() != 2) return std::nullopt;
  const bool inputs_first = node.is("MatMul") || node.integer("transB", 0) == 0;
  return inputs_first ? WeightView{second, first, 1, 1, true} : WeightView{first, second, 1, 1, false};
}

// Signal to noise in dB that rounding the input to `step` leaves behind the layer, channels taken as independent:
// Σ w²·var[channel] / Σ w²·step²/12. Nothing where the input does not vary.
std::optional<double> predicted_db(const Node& node, const Tensor& weight, const std::vector<double>& variances, double step) {
  const auto view = view_of(node, weight);
  if (!view || int64_t(variances.size()) != view->inputs * view->groups) return std::nullopt;
  const std::vector<float> w = weight.decode().to_floats();
  std::vector<double> weights(variances.size(), 0.0);  // Σ w² of each input channel
  for (size_t i = 0; i < w.size(); ++i) {
    const auto at = int64_t(i);
    const int64_t output = view->inputs_first ? at % view->outputs : at / (view->inputs * view->taps);
    const int64_t input = view->inputs_first ? at / view->outputs : at / view->taps % view->inputs;
    weights[size_t(output / std::max<int64_t>(view->outputs / view->groups, 1) * view->inputs + input)] += double(w[i]) * w[i];
  }
  double signal = 0, noise = 0;
  for (size_t c = 0; c < weights.size(); ++c) {
    signal += weights[c] * variances[c];
    noise += weights[c] * step * step / 12;
  }
  if (!(signal > 0 && noise > 0)) return std::nullopt;
  return 10 * std::log10(signal / noise);
}

// 10 dB is a tenth of the signal's power in noise from one layer. Healthy layers lie above 19 dB (YOLOX-nano, MiniLM,
// the super-resolution networks); a depthwise layer behind a few loud channels falls below 0.
constexpr double kCoarseDb = 10;

std::string too_coarse(const Graph& graph, const Node& node, const ActivationStatistics& input, double step) {
  const auto db = predicted_db(node, *graph.constant(node.inputs[1]), input.channel_variances(), step);
  if (!db || *db >= kCoarseDb) return "";
  const std::vector<double> magnitudes = input.channel_magnitudes();
  std::vector<double> sorted = magnitudes;
  std::sort(sorted.begin(), sorted.end());
  const auto top = std::max_element(magnitudes.begin(), magnitudes.end());
  return fmt::format("channel {} of {} of its input reaches {:.3g}, the median channel {:.3g}; one step of {:.2g} for all would leave it {:.0f} dB above its noise",
                     top - magnitudes.begin(), magnitudes.size(), *top, sorted[sorted.size() / 2], step, *db);
}

QuantizeChoice choice_of(const QuantizeStatic& options) { return {options.exclude, options.weights_only, options.residual, {}}; }

void request(const Graph& graph, const QuantizeStatic& options, Observations& observations) {
  const QuantizePlan plan = plan_quantization(graph, choice_of(options));
  const auto observe = [&](ValueId id, int channel_axis) {
    auto& observer = observations[graph.at(id).name];
    if (observer == nullptr) observer = std::make_shared<ActivationStatistics>(options.calibration != "minmax", channel_axis);
  };
  for (const auto& [n, inputs] : plan.eight_bit) {
    const Node& node = graph.nodes[n];
    if (node.is("MatMul") || node.is("Gemm")) observe(node.inputs[0], -1);
    else for (size_t i : inputs) observe(node.inputs[i], 1);
  }
  for (ValueId id : plan.values) observe(plan.scale_source(id), 1);
  for (ValueId id : plan.tied) observe(id, 1);
}

// Layers that nothing in front or nothing behind makes up for: in few bits they would cost more than all others together, so
// they keep 8 (Esser et al. 2020, section 3).
std::set<size_t> outermost_layers(const Graph& graph, const QuantizePlan& plan) {
  std::vector<char> layers(graph.nodes.size(), 0);
  for (const auto& [n, inputs] : plan.eight_bit) layers[n] = is_layer(graph.nodes[n]);
  for (const auto& [n, reason] : plan.weights_only) layers[n] = 1;
  const std::vector<char> fed = nodes_beyond(graph, layers, true), read_on = nodes_beyond(graph, layers, false);
  std::set<size_t> outermost;
  for (size_t n = 0; n < layers.size(); ++n)
    if (layers[n] && !(fed[n] && read_on[n])) outermost.insert(n);
  return outermost;
}

// Whether the CPU adds products of 8 bits in 16 bits and nothing wider.
bool adds_in_16_bits() {
#if defined(__x86_64__)
  return !__builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

// Puts Q → DQ behind values, once each.
class PairInserter {
 public:
  // `full_ends`: the first and the last layer keep the full range of 8 bits whatever their sums, unless the recipe forbids it.
  PairInserter(Graph& graph, const QuantizePlan& plan, const QuantizeStatic& options, const PassRun& pass, bool full_ends)
      : graph_(graph), plan_(plan), options_(options), pass_(pass), full_ends_(full_ends && options.overflow == "auto"), outermost_(outermost_layers(graph, plan)) {
    for (size_t n : outermost_)
      if (plan.eight_bit.count(n) != 0) wide_.insert(plan.scale_source(graph.nodes[n].inputs[0]));
  }

  // Of the layer's weights.
  int bits(size_t node) const { return outermost_.count(node) != 0 ? 8 : int(options_.bits); }

  // `integers`: in 8 bits. Where weights are made coarser, all biases take out the mean error of weights, those of layers that
  // keep the full range too: what is left of one layer's shift adds to the next one's.
  LayerInput input_of(size_t node, bool integers) {
    const ValueId value = graph_.nodes[node].inputs[0];
    const bool avoids = options_.overflow == "avoid" || (options_.overflow == "auto" && adds_in_16_bits());
    const ActivationStatistics* seen = measured(value);
    LayerInput input;
    if (avoids && seen != nullptr) input.means = seen->channel_means();
    if (!integers) return input;
    input.scale = scale(value);
    input.small_sums = avoids && !(full_ends_ && outermost_.count(node) != 0);
    return input;
  }

  const ActivationStatistics& statistics(ValueId value) const {
    const ActivationStatistics* seen = measured(value);
    if (seen == nullptr) throw Error("value '" + graph_.at(value).name + "'", "was not measured: passes in front of quantize-static changed the graph's values");
    return *seen;
  }
  float scale(ValueId value) { return parameters(value).quantizer.scale; }

  // The dequantized form of `value`.
  ValueId behind(ValueId value) {
    if (auto it = done_.find(value); it != done_.end()) return it->second;
    const Parameters p = parameters(value);
    const std::string name = graph_.at(value).name;
    const auto shape = graph_.at(value).shape;
    const ValueId stored = graph_.add_value(graph_.unique_name(name + "_q"), p.type, shape);
    const ValueId back = graph_.add_value(graph_.unique_name(name + "_d"), Type::f32, shape);
    graph_.add_node("QuantizeLinear", {value, p.scale, p.zero}, {stored});
    graph_.add_node("DequantizeLinear", {stored, p.scale, p.zero}, {back});
    return done_[value] = back;
  }

 private:
  struct Parameters {
    Quantizer quantizer;
    Type type = Type::u8;
    ValueId scale = kNone, zero = kNone;
  };
  // Null: it was not.
  const ActivationStatistics* measured(ValueId value) const {
    const auto it = pass_.observed.find(graph_.at(value).name);
    return it == pass_.observed.end() ? nullptr : static_cast<const ActivationStatistics*>(it->second.get());
  }

  Type type(ValueId source) const {
    if (options_.activation_bits < 8 && wide_.count(source) == 0) return options_.activations == "s8" ? Type::i4 : Type::u4;
    return options_.activations == "s8" ? Type::i8 : Type::u8;
  }

  const Parameters& parameters(ValueId value) {
    const ValueId source = plan_.scale_source(value);
    if (auto it = parameters_.find(source); it != parameters_.end()) return it->second;
    const std::string name = graph_.at(source).name;
    Parameters p;
    p.type = type(source);
    p.quantizer = quantizer_of(statistics(source).histogram(), options_, p.type);
    p.scale = graph_.add_constant(name + "_s", Array::scalar<float>(p.quantizer.scale));
    p.zero = graph_.add_constant(name + "_z", Array::scalar<int32_t>(p.quantizer.zero).cast(p.type));
    return parameters_[source] = p;
  }

  Graph& graph_;
  const QuantizePlan& plan_;
  const QuantizeStatic& options_;
  const PassRun& pass_;
  const bool full_ends_;
  std::set<size_t> outermost_;
  std::set<ValueId> wide_;                     // in 8 bits all the same
  std::map<ValueId, Parameters> parameters_;   // by the value whose range decides
  std::map<ValueId, ValueId> done_;
};

ValueRange with_zero(const Histogram& histogram) { return {std::min(histogram.low(), 0.f), std::max(histogram.high(), 0.f)}; }

// The plan once more, knowing what was measured: layers whose input 8 bits cannot carry compute in float.
QuantizePlan measured_plan(Graph& graph, const QuantizeStatic& options, const Fragility& fragile, const PassRun& pass) {
  QuantizeChoice choice = choice_of(options);
  const QuantizePlan first = plan_quantization(graph, choice);
  Graph scratch = graph;  // takes the constants that nobody will read
  PairInserter ranges(scratch, first, options, pass, false);
  // What learns its steps may be coarser than what must do with those it is given.
  if (options.activation_bits == 8) choice.too_coarse = [&](const Node& node) {
    const auto known = fragile.layers.find(graph.at(node.outputs[0]).name);
    return known != fragile.layers.end() ? known->second : too_coarse(graph, node, ranges.statistics(node.inputs[0]), ranges.scale(node.inputs[0]));
  };
  QuantizePlan plan = plan_quantization(graph, choice);
  for (ValueId part : plan.tied) {
    const ValueId whole = plan.scale_source(part);
    const ValueRange own = with_zero(ranges.statistics(part).histogram()), wide = with_zero(ranges.statistics(whole).histogram());
    // A part that is never negative keeps its zero at the end of its range: only there is its ReLU free in every runtime.
    const bool loses_zero = own.low == 0 && wide.low < 0;
    // Rounded with the wide step, part and result have noise s², else s_own² and s_own² + s²: less while s < √2·s_own.
    const bool too_wide = plan.alone.count(part) == 0 && wide.high - wide.low > std::numbers::sqrt2 * (double(own.high) - own.low);
    if (loses_zero || too_wide) plan.same_scale.erase(part);
  }
  return plan;
}

void note_rules(const Graph& graph, const QuantizePlan& plan, PassRun& pass) {
  for (const auto& [n, reason] : plan.left_out) pass.notes.push_back(graph.nodes[n].where() + " stays in float32: " + reason);
  for (const auto& [n, reason] : plan.weights_only) pass.notes.push_back(graph.nodes[n].where() + " stores int8 weights and computes in float: " + reason);
  std::map<std::string, int> kept;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const bool decided = plan.eight_bit.count(n) != 0 || plan.weights_only.count(n) != 0 || plan.left_out.count(n) != 0;
    const bool floats = !node.outputs.empty() && node.outputs[0] != kNone && graph.at(node.outputs[0]).type == Type::f32;
    if (!decided && floats && rule_for(node).op != "*") ++kept[rule_for(node).op];
  }
  for (const auto& [op, count] : kept) {
    const QuantizeRule& rule = rule_for_type(op);
    pass.notes.push_back(fmt::format("{} {} in float32: {}", count, count == 1 ? op + " stays" : op + " stay", rule.otherwise.empty() ? rule.reason : rule.otherwise));
  }
}

// Tables that only lookups read (embeddings): int8 with a scale a row, since rare words' rows are much smaller. Lookups
// compute nothing, so nothing is calibrated. Tables that a layer reads too are that layer's weights.
int quantize_tables(Graph& graph, const std::string& exclude) {
  constexpr int64_t least_elements = 256;  // below, the scales and the node outweigh the gain
  int changed = 0;
  const auto consumers = graph.consumers();
  for (const WeightUse& use : weight_uses(graph)) {
    const Tensor& table = *graph.constant(use.value);
    const auto& readers = consumers[size_t(use.value)];
    const bool only_lookups = std::all_of(readers.begin(), readers.end(), [&](int n) { return graph.nodes[size_t(n)].is("Gather") && !name_matches(exclude, graph.nodes[size_t(n)]); });
    if (!only_lookups || !table.plain() || table.type != Type::f32 || table.count() < least_elements || graph.is_output(use.value)) continue;
    replace_constant(graph, use.value, codec_int8.encode(table.array(), use.channel_axis, 0));
    ++changed;
  }
  return changed;
}

void check_bits(const QuantizeStatic& options) {
  for (const auto& [name, bits, least] : {std::tuple("bits", options.bits, 2), {"activation-bits", options.activation_bits, 4}})
    if (bits != 8 && bits != 4 && (bits != 2 || least > 2)) throw UsageError("quantize-static", fmt::format("{}={} has no type in ONNX", name, number_text(bits)), least == 2 ? "take 8, 4 or 2" : "take 8 or 4");
}

void quantize(Graph& graph, const QuantizeStatic& options, const Fragility& fragile, PassRun& pass) {
  const QuantizePlan plan = measured_plan(graph, options, fragile, pass);
  note_rules(graph, plan, pass);
  PairInserter pairs(graph, plan, options, pass, fragile.outputs);
  LayerQuantizer layers(graph);
  int small_sums = 0;
  for (const auto& [n, inputs] : plan.eight_bit) {
    const LayerInput input = is_layer(graph.nodes[n]) ? pairs.input_of(n, true) : LayerInput{};
    for (size_t i : inputs) {
      const ValueId back = pairs.behind(graph.nodes[n].inputs[i]);  // adds nodes: references to them do not last
      graph.nodes[n].inputs[i] = back;
    }
    if (is_layer(graph.nodes[n])) small_sums += layers.quantize(n, pairs.bits(n), input);
    ++pass.changed;
  }
  if (small_sums > 0)
    pass.notes.push_back(fmt::format("{} whose products fit the 16-bit sums of CPUs without VNNI; overflow=allow gives them the full range of 8 bits", small_sums == 1 ? "one layer has weights" : std::to_string(small_sums) + " layers have weights"));
  for (const auto& [n, reason] : plan.weights_only) {
    layers.quantize(n, pairs.bits(n), pairs.input_of(n, false));
    ++pass.changed;
  }
  if (const int tables = quantize_tables(graph, options.exclude)) {
    pass.changed += tables;
    pass.notes.push_back(std::to_string(tables) + " embedding tables are stored in int8, a scale a row; their values are float when read");
  }
  graph.sort();
}

void run(Graph& graph, const QuantizeStatic& options, PassRun& pass) {
  check_bits(options);
  if (const int folded = fold_batch_norms(graph)) pass.notes.push_back("merged " + std::to_string(folded) + " batch normalizations first: between a layer and its quantizer they would keep it in float");
  const Graph floats = graph;  // weights are shared
  const std::vector<std::string> notes = pass.notes;
  quantize(graph, options, {}, pass);
  // Training, which must follow fewer bits, makes up for what single layers cost.
  if (options.bits < 8 || options.activation_bits < 8 || pass.samples.count == 0) return;
  const Fragility fragile = find_fragile(floats, graph, options.float_share, pass);
  if (!fragile.outputs) return;
  graph = floats;
  pass.notes = notes;
  pass.changed = 0;
  quantize(graph, options, fragile, pass);
}

}  // namespace

Pass pass_quantize_static() {
  Pass pass = declare_pass<QuantizeStatic>("quantize-static", "Static int8: weights per channel, activations by calibration. Needs data.",
                                      "Jacob et al. 2018, sections 2-3; Krishnamoorthi 2018, section 3.1.2", false, run, request);
  pass.rules = "operators, the first rule that fits decides; exclude= adds to them\n" + rules_text();
  return pass;
}

}  // namespace pare
