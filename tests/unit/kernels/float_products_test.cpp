#include "kernels/float_products/float_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "base/threads.h"

namespace pare {
namespace {

template <class T>
std::vector<T> numbers(int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<T> values(size_t(n), 0);
  for (T& v : values) v = T(random.normal());
  return values;
}

// The largest difference from the definition, in units of √k.
template <class T>
double worst_error() {
  double worst = 0;
  for (const FloatProductsKernel& kernel : float_products_kernels()) {
    if (!kernel.supported()) continue;
    for (auto [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {12, 32, 5}, {13, 33, 257}, {50, 7, 600}, {5, 2100, 3}})
      for (bool transposed : {false, true})
        for (bool upper : {false, true}) {
          const auto a = numbers<T>(m * k, 1), b = numbers<T>(k * n, 2);
          const MatrixView<T> left = transposed ? MatrixView<T>{a.data(), 1, m} : MatrixView<T>{a.data(), k, 1};
          const MatrixView<T> right = transposed ? MatrixView<T>{b.data(), 1, k} : MatrixView<T>{b.data(), n, 1};
          const int64_t pitch = n + 3;
          std::vector<T> c(size_t(m * pitch), T(0.5));
          add_product(Product<T>{left, right, c.data(), pitch, m, n, k, T(-2), upper}, kernel);
          for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < pitch; ++j) {
              if (upper && j < i) continue;
              double sum = 0;
              for (int64_t l = 0; l < k && j < n; ++l) sum += double(left.data[i * left.row + l * left.col]) * right.data[l * right.row + j * right.col];
              worst = std::max(worst, std::abs(c[size_t(i * pitch + j)] - (0.5 - 2 * sum)) / std::sqrt(double(k)));
            }
        }
  }
  return worst;
}

TEST(FloatProducts, LikeTheirDefinition) {
  EXPECT_LT(worst_error<float>(), 2e-5);
  EXPECT_LT(worst_error<double>(), 1e-13);
}

TEST(FloatProducts, AreTheSameWithAnyNumberOfThreads) {
  const auto a = numbers<float>(70 * 300, 3), b = numbers<float>(300 * 90, 4);
  std::vector<float> first;
  const int all = threads();
  for (int n : {1, 2, 3}) {
    set_threads(n);
    std::vector<float> c(70 * 90, 0.f);
    add_product(Product<float>{{a.data(), 300, 1}, {b.data(), 90, 1}, c.data(), 90, 70, 90, 300});
    if (first.empty()) first = c;
    EXPECT_EQ(c, first);
  }
  set_threads(all);
}

}  // namespace
}  // namespace pare
