#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace pare {

// Rows of weights as left · right with few columns in between.
struct LowRank {
  int64_t rank = 0;
  std::vector<float> left;    // rows x rank, columns orthonormal
  std::vector<float> right;   // rank x n
  double relative_error = 0;  // ‖(W − left·right)X‖² / ‖W·X‖²
};
// The one of this rank, at most min(rows, n), that changes the layer's outputs least: min ‖(W − Ŵ)X‖ with H = Σ x·xᵀ (n
// x n, plus `damping` times the mean of its diagonal); empty H: the weights themselves. Wang et al. 2024, SVD-LLM,
// section 3.1: with H = L·Lᵀ the truncated singular value decomposition of W·L, which is W projected on that product's
// first left singular vectors.
LowRank factorize(std::span<const float> weights, int64_t rows, int64_t n, std::vector<double> h, double damping,
                  int64_t rank);
// Nearly the same for the weights themselves, by a random subspace of a few more vectors than `rank` that passes over
// the weights turn towards the first singular ones: work grows with rows · n · rank. Halko et al. 2011, algorithms 4.4
// and 5.1.
LowRank leading_factors(std::span<const float> weights, int64_t rows, int64_t n, int64_t rank, uint64_t seed);

}  // namespace pare
