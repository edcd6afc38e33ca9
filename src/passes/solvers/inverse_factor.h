#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace pare {

// U of H⁻¹ = UᵀU for a symmetric positive definite H: upper triangular, U[j][j]² is the inverse's diagonal element j when
// the columns before j are gone, and U[j][k]/U[j][j] how column k makes up for a change of column j.
struct InverseFactor {
  int64_t n = 0;
  std::vector<float> upper;     // n x n, zeros below the diagonal
  float at(int64_t i, int64_t j) const { return upper[size_t(i * n + j)]; }
  std::vector<double> inverse_diagonal() const;  // of H⁻¹ itself: what each column costs while all others are there
};

// H (n x n, destroyed) plus `damping` times the mean of its diagonal on the diagonal. Doubles the damping until the factor
// exists, so statistics of few samples do not fail. Returns what was added to the diagonal in `added`.
InverseFactor factor_inverse(std::vector<double> h, int64_t n, double damping, double* added = nullptr);

// L of H = L·Lᵀ (n x n, lower triangular, zeros above), of an H that is positive definite; more on its diagonal where it is not.
std::vector<double> lower_factor(std::vector<double> h, int64_t n);

}  // namespace pare
