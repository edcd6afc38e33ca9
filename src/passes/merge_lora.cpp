// Adds adapters to the weights they stand beside: W + s·B·A, in the codec the weight has.
#include <fmt/format.h>

#include <cmath>

#include "graph/adapters.h"
#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct MergeLora {
  std::string encoded = "again";
  static std::vector<Field> fields() {
    return FieldList<MergeLora>()
        .word("encoded", &MergeLora::encoded, {"again", "float"},
              "quantized weights: encoded again in their type, nearest, which rounds away part of the adapters; or "
              "left in float, exact and larger",
              {"again", "float"})
        .take();
  }
};

// Mean squares over all merged weights: of the adapters, and of what encoding again took from them.
struct Cost {
  double change = 0, lost = 0;
  int encoded = 0, codecs_left = 0;
};

void add_cost(Cost& cost, const Array& before, const Array& merged, const Array& stored) {
  const auto b = before.values<float>(), m = merged.values<float>(), s = stored.values<float>();
  for (size_t i = 0; i < m.size(); ++i) {
    cost.change += (double(m[i]) - b[i]) * (double(m[i]) - b[i]);
    cost.lost += (double(m[i]) - s[i]) * (double(m[i]) - s[i]);
  }
}

void merge(Graph& graph, const Adapter& adapter, bool encode, Cost& cost) {
  const Tensor& weight = *graph.constant(adapter.layer.weight);
  const Array before = weight.decode().aligned().cast(Type::f32),
              added = adapter_weight(graph, adapter.layer, adapter.values);
  Array merged = before;
  auto out = merged.mutable_values<float>();
  const auto more = added.values<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] += more[i];
  Tensor result(merged);
  if (!weight.plain() && encode) {
    result = weight.codec->encode(merged, weight.axis, weight.group);
    add_cost(cost, before, merged, result.decode().aligned());
    ++cost.encoded;
  } else if (!weight.plain()) {
    ++cost.codecs_left;
  }
  replace_constant(graph, adapter.layer.weight, std::move(result));
}

void run(Graph& graph, const MergeLora& options, PassRun& pass) {
  const std::vector<Adapter> adapters = find_adapters(graph);
  if (adapters.empty())
    throw Error("merge-lora", "the model has no adapters",
                "train them with tune-lora, or name model and adapter: MODEL+ADAPTER");
  Cost cost;
  for (const Adapter& adapter : adapters) {
    merge(graph, adapter, options.encoded == "again", cost);
    remove_adapter(graph, adapter);
    ++pass.changed;
  }
  if (cost.encoded > 0)
    pass.notes.push_back(
        fmt::format("{} weights were encoded again: the rounding is {:.2f} times the size of what the adapters "
                    "changed; encoded=float keeps all of it",
                    cost.encoded, std::sqrt(cost.lost / std::max(cost.change, 1e-300))));
  if (cost.codecs_left > 0)
    pass.notes.push_back(fmt::format("{} quantized weights are in float now", cost.codecs_left));
}

}  // namespace

Pass pass_merge_lora() {
  return declare_pass<MergeLora>(
      "merge-lora", "Adds low-rank adapters to the weights beside them; quantized weights are encoded again.",
      "Hu et al. 2021 (LoRA), section 4.1", false, run);
}

}  // namespace pare
