#include "codecs/codecs.h"
#include "graph/simplify.h"
#include "passes/pass.h"
#include "passes/weights.h"

#include <cmath>

namespace pare {
namespace {

struct CastWeights {
  std::string type = "f16";
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<CastWeights>()
        .word("type", &CastWeights::type, {"f16", "bf16"}, "f16: more digits, range to 65,504; bf16: float32's range, and computed natively by newer CPUs", {"f16", "bf16"})
        .word("exclude", &CastWeights::exclude, {}, "layers left in float32: names or operators, * for anything, | between them")
        .take();
  }
};

void run(Graph& graph, const CastWeights& options, PassRun& pass) {
  fold_batch_norms(graph);  // a 16-bit weight could not take one up any more
  const Codec& codec = options.type == "f16" ? codec_float16 : codec_bfloat16;
  for (const WeightUse& use : weight_uses(graph)) {
    const Node& node = graph.nodes[size_t(use.node)];
    const Tensor& weight = *graph.constant(use.value);
    if (!weight.plain() || weight.type != Type::f32) continue;
    if (name_matches(options.exclude, node)) {
      pass.notes.push_back(node.where() + " stays in float32: excluded by the recipe");
      continue;
    }
    const Tensor encoded = codec.encode(weight.array(), 0, 0);
    bool overflow = false;
    for (float v : encoded.decode().to_floats()) overflow |= !std::isfinite(v);
    if (overflow) {
      pass.notes.push_back(node.where() + " stays in float32: a weight is beyond float16's 65,504 (bf16 would hold it)");
      continue;
    }
    replace_constant(graph, use.value, encoded);
    ++pass.changed;
  }
}

}  // namespace

Pass pass_cast_weights() {
  return declare_pass<CastWeights>("cast-weights", "Stores weights as 16-bit floats; bf16 also permits 16-bit computation where the CPU has it.",
                                   "Micikevicius et al. 2018, Mixed Precision Training, section 3; Kalamkar et al. 2019 for bfloat16", false, run);
}

}  // namespace pare
