#pragma once
#include <functional>
#include <span>

#include "passes/statistics/layer_columns.h"

namespace pare {

struct StageRequest {
  std::string who;                  // the pass, for people
  std::string way_out;              // what a person can do where a layer's inputs are not finite
  const Graph* original = nullptr;  // measure also what this graph computes in the same places; it has the same value ids
  int64_t positions = 1 << 17;      // pixels or tokens that are looked at, at most, spread over all samples
};

// Layers changed front to back, each measured on the graph with all layers in front of it changed: `change` is called for
// each, in graph order, and changes constants only. The samples go through the graph once; what they are in front of the
// next layer is kept. Frantar et al. 2022, GPTQ, section 4 ("blocks of layers one at a time").
// Throws Error where a layer reads values that are not finite: no solver survives them.
// Layers whose weight is read in several places are measured by a run of their own.
void change_in_stages(Graph& graph, std::span<const PrunableLayer* const> layers, const StageRequest& request, PassRun& pass,
                      const std::function<void(size_t layer, const LayerColumns& columns)>& change);

}  // namespace pare
