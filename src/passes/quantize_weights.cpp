// Weights alone in few bits, rounded one by one; layers compute in float (or in the engine's low-bit kernels, where it has them).
#include <fmt/format.h>

#include <algorithm>

#include "graph/simplify.h"
#include "passes/weight_types.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct QuantizeWeights : WeightTypeOptions {
  std::string method = "search";
  static std::vector<Field> fields() {
    FieldList<QuantizeWeights> fields;
    return type_fields(fields)
        .word("method", &QuantizeWeights::method, {"nearest", "search", "importance", "hqq"},
              "how scales are chosen. nearest: from the largest weights; search: those of least squared error; importance: the same, each weight counting as much as its input does (needs data); "
              "hqq: half-quadratic, no data",
              {"search", "importance"})
        .take();
  }
};

ScaleSearch search_of(const std::string& method) {
  if (method == "nearest") return ScaleSearch::plain;
  return method == "hqq" ? ScaleSearch::half_quadratic : ScaleSearch::least_squares;
}

void run(Graph& graph, const QuantizeWeights& options, PassRun& pass) {
  fold_batch_norms(graph);  // a weight in few bits could not take one up any more
  const std::vector<StoredWeight> weights = stored_weights(graph);
  std::vector<std::vector<float>> importance(weights.size());
  if (options.method == "importance") {
    need_samples(pass.samples, "quantize-weights{method=importance}");
    importance = input_importance(graph, weights, "quantize-weights", pass);
  }
  TypeNotes notes;
  for (size_t w = 0; w < weights.size(); ++w) {
    if (interrupted()) throw Error("quantize-weights", "interrupted");
    if (pass.progress) pass.progress("quantize-weights", double(w), double(weights.size()));
    const TypeChoice choice = type_for(weights[w], options.wanted(), graph, options.exclude);
    notes.add(weights[w], choice);
    if (choice.stays) continue;
    replace_constant(graph, weights[w].layer.value, rounded_tensor(graph, weights[w], choice.type, search_of(options.method), importance[w]));
    ++pass.changed;
  }
  notes.give(pass);
}

}  // namespace

Pass pass_quantize_weights() {
  Pass pass = declare_pass<QuantizeWeights>("quantize-weights", "Stores weights in 2 to 8 bits, in groups with scales of their own or in GGUF's block types; activations stay as they are.",
                                            "Nagel et al. 2021, White Paper on Quantization, section 2.3 (scales by least squares); Badri & Shaji 2023, HQQ", false, run);
  pass.data = "yes, with method=importance: a calibration split";
  pass.rules = type_rules_text();
  return pass;
}

}  // namespace pare
