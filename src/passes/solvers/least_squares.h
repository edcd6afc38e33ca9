#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace pare {

// The lower Cholesky factor of the symmetric n x n matrix `a`, in its lower triangle; false where it is not positive definite.
bool factor_cholesky(std::vector<double>& a, int64_t n);
// x of a·x = b from a's factor, for `count` right sides, each a row of n in `b`.
void solve_cholesky(const std::vector<double>& factor, int64_t n, std::vector<double>& b, int64_t count);

// Rows w that minimise |y − w·x|² + ridge · mean(x²) · |w − start|², from the sums x·xᵀ (n x n) and y·xᵀ (rows x n): where the
// samples say nothing, `start` stays. Returns rows x n.
std::vector<double> fit_rows(std::vector<double> xx, const std::vector<double>& yx, const std::vector<double>& start, int64_t rows, int64_t n, double ridge);

// A layer that reads channels which may be removed.
struct ReaderSystem {
  int64_t rows = 0, n = 0;                     // outputs and columns
  std::vector<double> weights;                 // rows x n
  std::vector<double> covariance;              // n x n, of the columns
  std::vector<std::vector<int64_t>> columns;   // of each candidate
};
struct Removals {
  std::vector<size_t> order;                   // of the candidates
  std::vector<double> loss;                    // after each
  size_t probe = 0;                            // half of the removals, and the readers' weights after so many
  std::vector<std::vector<double>> probe_weights;
};
// Removes the candidate that changes the readers' outputs least, all other columns taking up what they can, and again, `count`
// times (the block form of the optimal brain surgeon: Kurtic et al. 2023, ZipLM, section 3.1). A reader's loss is the share of its
// outputs' variance; the readers' losses are added up.
Removals order_removals(std::vector<ReaderSystem> readers, size_t candidates, size_t count);

}  // namespace pare
