#pragma once
#include <span>
#include <vector>

#include "passes/solvers/column_solver.h"
#include "passes/solvers/prune_pattern.h"

namespace pare {

// One layer (or group of a convolution) as a least squares problem; n = shape.cols, or one more: the bias, as the weight of an
// input that is always 1 and is never pruned.
struct PruneProblem {
  MatrixShape shape;
  PrunePattern pattern;
  int64_t n = 0;
  std::vector<float> weights;     // rows x n: the original ones
  std::vector<double> products;   // n x n: H = Σ x·xᵀ, of the inputs that the pruned layer will read
  std::vector<float> cross;       // n x n: Σ y·xᵀ with y the inputs of the original layer; empty: the same inputs
  double damping = 0.01;          // of the mean of H's diagonal
  int refit_steps = 24;
  int64_t block_columns = 128;    // at least so many are masked at once
};

struct PrunedRows {
  std::vector<float> weights;     // rows x n
  std::vector<uint8_t> mask;      // rows x shape.cols, 0 where pruned
  double relative_error = 0;      // ‖(W* − Ŵ)X‖² / ‖W*X‖² with the damped H
};

// Loss of each weight (rows x shape.cols) when it alone goes and its row makes up for it: w²/[H⁻¹]jj (Hassibi & Stork 1993).
std::vector<float> obs_scores(std::span<const float> weights, const MatrixShape& shape, const InverseFactor& factor);

// Prunes `count` weights, choosing as columns are compressed one after the other (Frantar & Alistarh 2023, SparseGPT,
// section 3), then solves for the kept ones exactly.
PrunedRows prune_columns(PruneProblem problem, int64_t count);

}  // namespace pare
