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
};

// A way to say what each weight is worth: the squared error at the layer's output when it goes.
struct PruneScore {
  const char* name;
  const char* summary;
  enum Needs { nothing, squares, products } needs;   // of the layer's inputs
  bool by_rows;        // weights are compared within an output's row (or row of blocks), so that each row loses the same
  bool refits;         // what stays changes, to make up for what went
  std::vector<float> (*scores)(const ScoreInput&);
};
std::span<const PruneScore> prune_scores();
const PruneScore& find_score(const std::string& name);  // one of prune_scores()

}  // namespace pare
