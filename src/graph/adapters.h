#pragma once
// Low-rank adapters (Hu et al. 2021, LoRA, section 4.1): beside a layer y = W·x stands s·B·(A·x), in standard
// operators:
//
//   x ── layer ─────────────────── Add ── y        layer: Gemm, MatMul or Conv of one group
//   └─── layer's operator A ─ Mul s ─ B ─┘         of a Conv: A has its kernel, B is 1x1
//
// Names mark them: a layer whose weight is "NAME.weight" (or "NAME") has the constants "NAME.lora_A.weight",
// "NAME.lora_B.weight" and "NAME.lora_scale".
#include "graph/graph.h"

namespace pare {

// One layer's adapter as PEFT files hold it, whatever the layer's operator.
struct AdapterFactors {
  std::string layer;  // NAME
  Array a;            // f32 [rank, inputs, …kernel]
  Array b;            // f32 [outputs, rank, …1]
  double scale = 1;
  int64_t rank() const { return a.dim(0); }
};

// A layer that an adapter can stand beside.
struct AdaptableLayer {
  int node = 0;
  ValueId weight = kNone;
  std::string name;  // NAME
  Dims a, b;         // extents of AdapterFactors's arrays, the rank left at 0
};
// Nothing where the layer can have none: its weight is no f32 constant of its own, a convolution has groups, …
std::optional<AdaptableLayer> adaptable_layer(const Graph& graph, int node);
std::vector<AdaptableLayer> adaptable_layers(const Graph& graph);  // that have none yet, in graph order

// Throws Error (layer) where the extents do not fit. The graph must be sorted afterwards.
void add_adapter(Graph& graph, const AdaptableLayer& layer, const AdapterFactors& values);

struct Adapter {
  AdapterFactors values;
  AdaptableLayer layer;
  int down = 0, scaled = 0, up = 0, sum = 0;  // its nodes
};
std::vector<Adapter> find_adapters(const Graph& graph);
bool has_adapters(const Graph& graph);
// Takes one out of the graph: its nodes become useless, what they fed reads the layer. remove_unused() must follow.
void remove_adapter(Graph& graph, const Adapter& adapter);
// s·B·A in the extents of the layer's weight, f32; and the reverse order of elements: a weight as [outputs, all else].
Array adapter_weight(const Graph& graph, const AdaptableLayer& layer, const AdapterFactors& values);
Array weight_rows(const Graph& graph, const AdaptableLayer& layer, const Array& weight);

}  // namespace pare
