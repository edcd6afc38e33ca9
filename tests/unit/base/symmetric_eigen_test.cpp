#include "base/symmetric_eigen.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace pare {
namespace {

TEST(SymmetricEigen, VectorsAreStretchedByTheirValues) {
  for (const int64_t n : {1, 2, 3, 20, 65}) {
    Random random{uint64_t(n)};
    std::vector<double> x(size_t(n * n));
    for (double& v : x) v = random.normal();
    std::vector<double> matrix(size_t(n * n));
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) matrix[size_t(i * n + j)] = i == j || n != 20 ? x[size_t(i * n + j)] + x[size_t(j * n + i)] : 0;
    const Eigen eigen = symmetric_eigen(matrix, n);
    for (int64_t k = 0; k < n; ++k) {
      EXPECT_GE(eigen.values[size_t(std::max<int64_t>(k - 1, 0))], eigen.values[size_t(k)]);
      for (int64_t i = 0; i < n; ++i) {
        double image = 0, product = 0;
        for (int64_t j = 0; j < n; ++j) {
          image += matrix[size_t(i * n + j)] * eigen.vectors[size_t(k * n + j)];
          product += eigen.vectors[size_t(i * n + j)] * eigen.vectors[size_t(k * n + j)];
        }
        ASSERT_NEAR(image, eigen.values[size_t(k)] * eigen.vectors[size_t(k * n + i)], 1e-10) << n;
        ASSERT_NEAR(product, i == k ? 1 : 0, 1e-10) << n;
      }
    }
  }
}

}  // namespace
}  // namespace pare
