#include "kernels/float_rows/float_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace pare {
namespace {

std::vector<float> numbers(size_t n, uint64_t seed, float scale) {
  Random random(seed);
  std::vector<float> values(n);
  for (float& v : values) v = scale * float(random.normal());
  return values;
}

TEST(FloatRows, SoftmaxLikeItsDefinition) {
  for (const FloatRowsKernel& kernel : float_rows_kernels()) {
    if (!kernel.supported()) continue;
    for (int64_t n : {1, 2, 15, 16, 17, 128, 1000}) {
      const auto x = numbers(size_t(n), 3, 20), mask = numbers(size_t(n), 4, 3);
      std::vector<float> y(x.size());
      kernel.softmax(x.data(), mask.data(), 0.25f, y.data(), n);
      double most = -1e300, sum = 0;
      for (size_t i = 0; i < x.size(); ++i) most = std::max(most, double(x[i]) * 0.25 + mask[i]);
      for (size_t i = 0; i < x.size(); ++i) sum += std::exp(double(x[i]) * 0.25 + mask[i] - most);
      for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], std::exp(double(x[i]) * 0.25 + mask[i] - most) / sum, 2e-6) << kernel.name << " n " << n;
    }
  }
}

TEST(FloatRows, SoftmaxDownColumns) {
  for (const FloatRowsKernel& kernel : float_rows_kernels()) {
    if (!kernel.supported()) continue;
    for (int64_t n : {1, 7, 16, 37}) {
      const int64_t length = 5, pitch = 40;
      const auto x = numbers(size_t(length * pitch), 3, 20);
      std::vector<float> y(x.size(), -1.f);
      kernel.softmax_columns(x.data(), y.data(), length, pitch, n);
      for (int64_t i = 0; i < pitch; ++i) {
        double most = -1e300, sum = 0;
        for (int64_t k = 0; k < length; ++k) most = std::max(most, double(x[size_t(k * pitch + i)]));
        for (int64_t k = 0; k < length; ++k) sum += std::exp(double(x[size_t(k * pitch + i)]) - most);
        for (int64_t k = 0; k < length; ++k) {
          const double expected = i < n ? std::exp(double(x[size_t(k * pitch + i)]) - most) / sum : -1;
          EXPECT_NEAR(y[size_t(k * pitch + i)], expected, 2e-6) << kernel.name << " n " << n << " column " << i;
        }
      }
    }
  }
}

TEST(FloatRows, SoftmaxOfMaskedRows) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const FloatRowsKernel& kernel : float_rows_kernels()) {
    if (!kernel.supported()) continue;
    std::vector<float> x(20, 1.f), y(20), mask(20, -kInfinity);
    mask[3] = 0;
    kernel.softmax(x.data(), mask.data(), 1, y.data(), 20);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], i == 3 ? 1.f : 0.f) << kernel.name;
    mask.assign(20, -3.4028235e38f);
    mask[7] = 0;
    kernel.softmax(x.data(), mask.data(), 1, y.data(), 20);
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], i == 7 ? 1.f : 0.f) << kernel.name;
    mask.assign(20, -kInfinity);
    kernel.softmax(x.data(), mask.data(), 1, y.data(), 20);
    EXPECT_TRUE(std::isnan(y[0])) << kernel.name;
  }
}

TEST(FloatRows, GateLikeItsDefinition) {
  for (const FloatRowsKernel& kernel : float_rows_kernels()) {
    if (!kernel.supported()) continue;
    for (const int64_t n : {1, 8, 37, 64}) {
      auto x = numbers(size_t(n), 7, 20);
      const auto by = numbers(x.size(), 8, 1);
      std::vector<float> y(x.size() + 1, 77.f);
      x[0] = -200;   // e to its distance from 0 is no float
      kernel.gate(x.data(), by.data(), y.data(), n);
      for (size_t i = 0; i < x.size(); ++i) {
        const double exact = x[i] / (1 + std::exp(-double(x[i]))) * by[i];
        EXPECT_NEAR(y[i], exact, 1e-6 * (1 + std::abs(exact))) << kernel.name << " " << x[i];
      }
      EXPECT_EQ(y[size_t(n)], 77.f) << "wrote behind the row";
    }
  }
}

TEST(FloatRows, NormLikeItsDefinition) {
  for (const FloatRowsKernel& kernel : float_rows_kernels()) {
    if (!kernel.supported()) continue;
    for (int64_t n : {1, 5, 16, 33, 384})
      for (bool centred : {true, false}) {
        const auto x = numbers(size_t(n), 5, 3), gamma = numbers(size_t(n), 6, 1), beta = numbers(size_t(n), 7, 1);
        std::vector<float> y(x.size());
        kernel.norm(x.data(), gamma.data(), centred ? beta.data() : nullptr, 1e-5f, centred, y.data(), n);
        double mean = 0, variance = 0;
        for (float v : x) mean += centred ? double(v) / double(n) : 0;
        for (float v : x) variance += (v - mean) * (v - mean) / double(n);
        for (size_t i = 0; i < x.size(); ++i)
          EXPECT_NEAR(y[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * gamma[i] + (centred ? beta[i] : 0), 1e-5) << kernel.name << " n " << n;
      }
  }
}

}  // namespace
}  // namespace pare
