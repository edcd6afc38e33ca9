#pragma once
#include <vector>

#include "passes/solvers/column_solver.h"
#include "passes/solvers/weight_grid.h"

namespace pare {

// Linear rows to be rounded to a grid so that (w − ŵ)·H·(w − ŵ)ᵀ grows least.
struct RoundProblem {
  int64_t rows = 0, n = 0;
  std::vector<float> weights;     // rows x n
  std::vector<double> products;   // n x n: H = Σ x·xᵀ of the inputs that the rounded layer will read
  std::vector<float> cross;       // n x n: Σ y·xᵀ with y the original layer's inputs; empty: the same inputs
  double damping = 0.01;          // of the mean of H's diagonal
  bool act_order = true;          // the loudest columns first, with scales chosen before; false: from left to right, scales as they come
  int sweeps = 4;                 // afterwards: every step and level again, given all others
};

// Rounds all rows to `grid`, which then holds them. Returns ‖(W − Ŵ)X‖² / ‖W·X‖² with the damped H.
// Frantar et al. 2022, GPTQ, section 3.3, on stored formats; the sweeps: Behdin et al. 2023, QuantEase, section 3 (cyclic
// coordinate descent), with steps as coordinates too.
double round_columns(RoundProblem problem, WeightGrid& grid);

}  // namespace pare
