#include "kernels/float_attention/float_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace pare {
namespace {

std::vector<float> numbers(int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = float(random.normal());
  return values;
}

// By definition, in double.
std::vector<double> expected(const FloatAttention& job) {
  std::vector<double> y;
  for (int64_t r = 0; r < job.rows; ++r) {
    std::vector<double> p(static_cast<size_t>(job.keys));
    double most = -1e300, sum = 0;
    for (int64_t t = 0; t < job.keys; ++t) {
      double dot = 0;
      for (int64_t k = 0; k < job.width; ++k) dot += double(job.query[r * job.query_stride + k]) * job.key[t * job.key_stride + k];
      p[size_t(t)] = dot * job.scale + (job.mask ? job.mask[r * job.mask_stride + t] : 0);
      most = std::max(most, p[size_t(t)]);
    }
    for (double& v : p) sum += v = std::exp(v - most);
    for (int64_t j = 0; j < job.value_width; ++j) {
      double out = 0;
      for (int64_t t = 0; t < job.keys; ++t) out += p[size_t(t)] / sum * job.value[t * job.value_stride + j];
      y.push_back(out);
    }
  }
  return y;
}

// What lies behind the last key is no number: it must not be seen.
std::vector<float> as_columns(const FloatAttention& job) {
  std::vector<float> columns(size_t((job.keys + kKeyBlock - 1) / kKeyBlock * kKeyBlock * job.width), NAN);
  for (int64_t t = 0; t < job.keys; ++t)
    for (int64_t k = 0; k < job.width; ++k) columns[size_t((t / kKeyBlock * job.width + k) * kKeyBlock + t % kKeyBlock)] = job.key[t * job.key_stride + k];
  return columns;
}

TEST(FloatAttention, LikeItsDefinition) {
  for (const FloatAttentionKernel& kernel : float_attention_kernels()) {
    if (!kernel.supported()) continue;
    for (int64_t rows : {1, 5, 6, 13})
      for (int64_t keys : {1, 15, 16, 70})
        for (int64_t width : {8, 32})
          for (int64_t value_width : {16, 24, 64, 80})
            for (int masks : {0, 1, 2, 3}) {   // 3: none, and keys as columns
              FloatAttention job{};
              job.rows = rows, job.keys = keys, job.width = width, job.value_width = value_width, job.scale = 0.3f;
              job.query_stride = width + 3, job.key_stride = width * 2, job.value_stride = value_width + 5, job.output_stride = value_width + 7;
              job.mask_stride = masks == 2 ? keys : 0;
              const auto q = numbers(rows * job.query_stride, 1), k = numbers(keys * job.key_stride, 2), v = numbers(keys * job.value_stride, 3), m = numbers(rows * keys, 4);
              std::vector<float> y(size_t(rows * job.output_stride), 77.f);
              std::vector<float> memory(size_t(float_attention_scratch(rows, keys, width, value_width)) + 16);
              job.query = q.data(), job.key = k.data(), job.value = v.data(), job.output = y.data();
              job.mask = masks == 1 || masks == 2 ? m.data() : nullptr;
              job.scratch = memory.data();
              const auto exact = expected(job);
              const auto columns = as_columns(job);
              if (masks == 3) job.key_columns = columns.data(), job.key = nullptr;
              kernel.run(job);
              for (int64_t r = 0; r < rows; ++r) {
                for (int64_t j = 0; j < value_width; ++j)
                  ASSERT_NEAR(y[size_t(r * job.output_stride + j)], exact[size_t(r * value_width + j)], 1e-5) << kernel.name << " rows " << rows << " keys " << keys << " width " << width << " to " << value_width;
                ASSERT_EQ(y[size_t(r * job.output_stride + value_width)], 77.f) << "wrote past a row";
              }
            }
  }
}

}  // namespace
}  // namespace pare
