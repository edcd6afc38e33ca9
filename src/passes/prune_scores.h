#pragma once
#include <span>
#include <vector>

#include "passes/statistics/layer_columns.h"

namespace pare {

// What is known of a layer when its weights are scored; `columns` is null where the score needs no data.
struct ScoreInput {
  const PrunableLayer& layer;
  std::span<const float> weights;    // [rows, cols]
  const LayerColumns* columns = nullptr;
  double damping = 0.01;
  std::span<const float> changes = {};  // [rows, cols], where asked for: mean square of what the loss changes by to first order
};

// A way to say what each weight is worth: the squared error at the layer's output (or in the loss) when it goes.
struct PruneScore {
  const char* name;
  const char* summary;
  enum Needs { nothing, squares, products, gradients } needs;   // of the layer's inputs; gradients: of the loss
  bool by_rows;        // weights are compared within an output's row (or row of blocks), so that each row loses the same
  bool refits;         // what stays changes, to make up for what went
  std::vector<float> (*scores)(const ScoreInput&);
};
std::span<const PruneScore> prune_scores();
const PruneScore& find_score(const std::string& name);  // one of prune_scores()

}  // namespace pare
