#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "passes/solvers/inverse_factor.h"

namespace pare {

// Weights of a layer, an output a row; the matrix of what its inputs do together is the solver's H.
struct WeightRows {
  float* data;               // rows x n, row major
  int64_t rows, n;
  float& at(int64_t r, int64_t c) const { return data[r * n + c]; }
};

// What compression does to columns; pruning sets some to zero, quantization rounds them.
class ColumnRule {
 public:
  virtual ~ColumnRule() = default;
  // Columns that are decided together: [first, the result), at most n. Blocks of about 128 keep the updates in the cache.
  virtual int64_t block_end(int64_t first, int64_t n) const = 0;
  // The columns up to `end` of `weights` have taken up the errors of all before: choose masks, scales, …
  virtual void begin_block(int64_t first, int64_t end, const WeightRows& weights, const InverseFactor& factor) = 0;
  // What becomes of one weight; called from several threads.
  virtual float compress(int64_t row, int64_t col, float value) const = 0;
};

// Compresses column after column; the columns that follow take up each one's error, so that (W − Ŵ)·H·(W − Ŵ)ᵀ grows as
// little as a step can make it (Frantar et al. 2022, GPTQ, section 3.3: lazy blocks, Cholesky form).
void compress_columns(const WeightRows& weights, const InverseFactor& factor, ColumnRule& rule);

// The weights where `mask` is 1 that minimise (w − w*)·H·(w − w*)ᵀ of each row, those elsewhere being 0: conjugate gradients
// with the diagonal as preconditioner, from what `weights` holds. H: n x n.
void refit_rows(const WeightRows& weights, std::span<const float> optimum, std::span<const float> h, std::span<const uint8_t> mask, int steps);

// The weights (rows x n) that on the inputs there are come nearest to what `weights` computed on those there were: `cross` = Σ y·xᵀ
// with y the latter. `factor` is of H = Σ x·xᵀ with `added` on its diagonal.
std::vector<float> adapted_rows(std::span<const float> weights, int64_t rows, int64_t n, std::span<const float> cross, const InverseFactor& factor, double added);

// Σ over rows of w·H·wᵀ.
double energy(std::span<const float> weights, int64_t rows, int64_t n, std::span<const float> h);

}  // namespace pare
