#pragma once
#include <cstdint>
#include <vector>

namespace pare {

struct Eigen {
  std::vector<double> values;    // descending
  std::vector<double> vectors;   // row i belongs to values[i]; orthonormal
};
// Of a symmetric n x n matrix: Householder reflections to three diagonals, then QL steps with implicit shifts (Golub & Van Loan,
// Matrix Computations, sections 8.3.1 and 8.3.3).
Eigen symmetric_eigen(std::vector<double> matrix, int64_t n);

}  // namespace pare
