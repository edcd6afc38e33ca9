#include "codecs/codecs.h"
#include "graph/simplify.h"
#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct QuantizeDynamic {
  std::string activations = "linear";
  std::string exclude;
  double least_elements = 256;
  static std::vector<Field> fields() {
    return FieldList<QuantizeDynamic>()
        .word("activations", &QuantizeDynamic::activations, {"linear", "all", "none"},
              "whose inputs are quantized at run time: linear layers; all layers; none (weights only). Convolutions compute slower that way on every runtime, so their weights are stored in int8 and computed in float",
              {"linear", "none"})
        .number("least-elements", &QuantizeDynamic::least_elements, 1, 1e9, "elements", "smaller weights stay in float: their scales would outweigh the gain")
        .word("exclude", &QuantizeDynamic::exclude, {}, "layers left in float32: names or operators, * for anything, | between them")
        .take();
  }
};

// x → DynamicQuantizeLinear → DequantizeLinear, once per value, in front of node `n`. Returns the dequantized value.
ValueId quantize_at_run_time(Graph& graph, ValueId x, std::map<ValueId, ValueId>& done) {
  if (auto it = done.find(x); it != done.end()) return it->second;
  const std::string name = graph.at(x).name;
  const auto shape = graph.at(x).shape;
  const ValueId q = graph.add_value(graph.unique_name(name + "_q"), Type::u8, shape);
  const ValueId scale = graph.add_value(graph.unique_name(name + "_s"), Type::f32, Shape{});
  const ValueId zero = graph.add_value(graph.unique_name(name + "_z"), Type::u8, Shape{});
  const ValueId back = graph.add_value(graph.unique_name(name + "_d"), Type::f32, shape);
  graph.add_node("DynamicQuantizeLinear", {x}, {q, scale, zero});
  graph.add_node("DequantizeLinear", {q, scale, zero}, {back});
  return done[x] = back;
}

void run(Graph& graph, const QuantizeDynamic& options, PassRun& pass) {
  fold_batch_norms(graph);  // a weight in int8 could not take one up any more
  std::map<ValueId, ValueId> done;
  for (const WeightUse& use : weight_uses(graph)) {
    const Tensor& weight = *graph.constant(use.value);
    const std::string where = graph.nodes[size_t(use.node)].where();
    if (!weight.plain() && !(weight.codec == &codec_int8)) continue;
    if (name_matches(options.exclude, graph.nodes[size_t(use.node)])) {
      pass.notes.push_back(where + " stays in float32: excluded by the recipe");
      continue;
    }
    if (weight.count() < int64_t(options.least_elements)) {
      pass.notes.push_back(where + " stays in float32: only " + std::to_string(weight.count()) + " weights");
      continue;
    }
    if (weight.plain()) {
      replace_constant(graph, use.value, codec_int8.encode(weight.array().cast(Type::f32), use.channel_axis, 0));
      ++pass.changed;
    }
    const bool run_time = options.activations == "all" || (options.activations == "linear" && use.linear);
    if (!run_time || graph.nodes[size_t(use.node)].is("Gather")) continue;
    const size_t other = use.input == 1 ? 0 : 1;
    const ValueId back = quantize_at_run_time(graph, graph.nodes[size_t(use.node)].inputs[other], done);
    graph.nodes[size_t(use.node)].inputs[other] = back;
  }
  if (!done.empty()) graph.sort();
  if (options.activations == "linear") pass.notes.push_back("convolutions store int8 weights and compute in float: quantizing their inputs at run time costs more than it saves");
}

}  // namespace

Pass pass_quantize_dynamic() {
  return declare_pass<QuantizeDynamic>("quantize-dynamic", "Dynamic-range quantization: int8 weights per channel; inputs of linear layers quantized at run time. Needs no data.",
                                       "Jacob et al. 2018, section 2; Krishnamoorthi 2018, Quantizing deep convolutional networks, section 3.1", false, run);
}

}  // namespace pare
