#include "kernels/float_attention/float_attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "base/float16.h"
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
  const auto* value = static_cast<const float*>(job.value);
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
      for (int64_t t = 0; t < job.keys; ++t) out += p[size_t(t)] / sum * value[t * job.value_stride + j];
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
        for (int64_t width : {7, 8, 32, 48})
          for (int64_t value_width : {16, 24, 64, 80})
            for (int masks : {0, 1, 2, 3}) {   // 3: none, and keys as columns
              if (masks == 3 && kernel.bits == 16) continue;
              FloatAttention job{};
              job.rows = rows, job.keys = keys, job.width = width, job.value_width = value_width, job.scale = 0.3f;
              job.query_stride = width + 3, job.key_stride = width * 2, job.value_stride = value_width + 5, job.output_stride = value_width + 7;
              job.mask_stride = masks == 2 ? keys : 0;
              const auto q = numbers(rows * job.query_stride, 1), k = numbers(keys * job.key_stride, 2), v = numbers(keys * job.value_stride, 3), m = numbers(rows * keys, 4);
              std::vector<float> y(size_t(rows * job.output_stride), 77.f);
              std::vector<float> memory(size_t(float_attention_scratch(rows, keys, width, value_width, kernel.bits)) + 16 + 16);
              const auto align = (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64 / 4;
              job.query = q.data(), job.key = k.data(), job.value = v.data(), job.output = y.data();
              job.mask = masks == 1 || masks == 2 ? m.data() : nullptr;
              job.scratch = memory.data() + align;
              const auto exact = expected(job);
              const auto columns = as_columns(job);
              if (masks == 3) job.key_columns = columns.data(), job.key = nullptr;
              kernel.run(job);
              for (int64_t r = 0; r < rows; ++r) {
                for (int64_t j = 0; j < value_width; ++j)
                  ASSERT_NEAR(y[size_t(r * job.output_stride + j)], exact[size_t(r * value_width + j)], kernel.bits == 16 ? 0.03 : 1e-5) << kernel.name << " rows " << rows << " keys " << keys << " width " << width << " to " << value_width;
                ASSERT_EQ(y[size_t(r * job.output_stride + value_width)], 77.f) << "wrote past a row";
              }
            }
  }
}

// Keys and values as `Stored` keeps them, and as floats what they say exactly.
template <class Stored>
struct Kept {
  std::vector<Stored> stored;
  std::vector<float> exact, scales;
};
Kept<Half> in_halves(int64_t keys, int64_t width, uint64_t seed) {
  Kept<Half> kept;
  for (const float v : numbers(keys * width, seed)) {
    kept.stored.push_back(to_half(v));
    kept.exact.push_back(to_float(kept.stored.back()));
  }
  return kept;
}
Kept<int8_t> in_bytes(int64_t keys, int64_t width, uint64_t seed) {
  Kept<int8_t> kept;
  Random random(seed);
  for (int64_t t = 0; t < keys; ++t) {
    kept.scales.push_back(0.002f * float(t % 7 + 1));
    for (int64_t i = 0; i < width; ++i) {
      kept.stored.push_back(int8_t(int64_t(random.below(255)) - 127));
      kept.exact.push_back(float(kept.stored.back()) * kept.scales.back());
    }
  }
  return kept;
}

template <class Stored>
void check_kept(const FloatAttentionKernel& kernel, KeyValues type, Kept<Stored> (*make)(int64_t, int64_t, uint64_t),
                int64_t rows, int64_t keys, int64_t value_width) {
  constexpr int64_t kWidth = 24;
  const auto q = numbers(rows * kWidth, 1);
  const Kept<Stored> k = make(keys, kWidth, 2), v = make(keys, value_width, 3);
  std::vector<Stored> columns(size_t((keys + kKeyBlock - 1) / kKeyBlock * kKeyBlock * kWidth));
  std::memset(static_cast<void*>(columns.data()), 0x7f, columns.size() * sizeof(Stored));  // behind the last key: no number, or a loud one
  for (int64_t t = 0; t < keys; ++t)
    for (int64_t i = 0; i < kWidth; ++i)
      columns[size_t((t / kKeyBlock * kWidth + i) * kKeyBlock + t % kKeyBlock)] = k.stored[size_t(t * kWidth + i)];
  std::vector<float> y(size_t(rows * value_width), 77.f),
      memory(size_t(float_attention_scratch(rows, keys, kWidth, value_width)) + 16);
  FloatAttention job{};
  job.rows = rows, job.keys = keys, job.width = job.query_stride = job.key_stride = kWidth, job.scale = 0.3f;
  job.value_width = job.value_stride = job.output_stride = value_width;
  job.query = q.data(), job.key = k.exact.data(), job.value = v.exact.data(), job.output = y.data(),
  job.scratch = memory.data();
  const auto exact = expected(job);
  job.key = nullptr, job.key_columns = columns.data(), job.value = v.stored.data(), job.kept = type;
  if (!k.scales.empty()) job.key_scales = k.scales.data(), job.value_scales = v.scales.data();
  kernel.run(job);
  for (size_t i = 0; i < y.size(); ++i)
    ASSERT_NEAR(y[i], exact[i], 1e-5) << kernel.name << " rows " << rows << " keys " << keys << " values "
                                      << value_width << " kept " << int(type);
}

TEST(FloatAttention, KeysAndValuesInFewerBits) {
  for (const FloatAttentionKernel& kernel : float_attention_kernels()) {
    if (!kernel.supported() || kernel.bits != 32) continue;
    for (const int64_t rows : {1, 3, 7})
      for (const int64_t keys : {1, 16, 37})
        for (const int64_t value_width : {16, 27, 64}) {
          check_kept(kernel, KeyValues::f16, in_halves, rows, keys, value_width);
          check_kept(kernel, KeyValues::i8, in_bytes, rows, keys, value_width);
        }
  }
}

}  // namespace
}  // namespace pare
