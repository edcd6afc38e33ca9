#pragma once
#include <map>
#include <string>
#include <vector>

#include "measure/measure.h"

namespace pare {

// What a compressed layer costs at the model's output, alone: every other layer is the baseline's.
struct LayerCost {
  std::string node, value;         // the layer's name and what it computes
  double output_db = NAN;          // SQNR of the output with this layer compressed
  double weights_db = NAN, inputs_db = NAN;  // with only its weights, only its inputs; measured for the costliest
};
using LayerCosts = std::vector<LayerCost>;  // costliest first

LayerCosts measure_layer_costs(const Graph& small, const Graph& baseline, const std::vector<std::vector<Array>>& inputs,
                               const MeasureOptions& options);

// Fills the row of the layer that writes `output` (or what is fused behind the layer does).
void add_layer_cost(LayerRow& row, const LayerCosts& costs, const Graph& small, const std::map<std::string, int>& producers,
                    const std::string& output);

}  // namespace pare
