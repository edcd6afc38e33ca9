#pragma once
#include <vector>

#include "passes/pass.h"
#include "passes/prune_layers.h"

namespace pare {

// A layer and how many weights it is to lose; afterwards, how many it lost.
struct PruneOrder {
  const PrunableLayer* layer = nullptr;
  int64_t pruned = 0;
  double relative_error = 0;   // of the layer's output on the calibration data: noise over signal
};

struct StageOptions {
  PrunePattern pattern;
  double damping = 0.01;
};

// Prunes layers so that what stays makes up for what goes, front to back: each stage of layers is measured on the graph
// with all layers before it pruned, and fitted to what the original graph computed there.
void prune_in_stages(Graph& graph, std::vector<PruneOrder>& orders, const StageOptions& options, PassRun& pass);

}  // namespace pare
