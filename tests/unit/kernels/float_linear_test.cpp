#include "kernels/float_linear/float_linear.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/float16.h"
#include "base/random.h"

namespace pare {
namespace {

struct alignas(64) Line {
  std::byte bytes[64];
};

// Values as a kernel stores them: float, or bfloat16 in 16 bits.
struct Values {
  Values(int width, int64_t count, uint64_t seed, float scale = 1) : bits(width), memory(size_t(count * width / 8) / 64 + 2) {
    Random random(seed);
    for (int64_t i = 0; i < count; ++i) set(i, float(random.normal()) * scale);
  }
  float at(int64_t i) const { return bits == 32 ? reinterpret_cast<const float*>(memory.data())[i] : to_float(BFloat16{reinterpret_cast<const uint16_t*>(memory.data())[i]}); }
  void set(int64_t i, float v) {
    if (bits == 32) reinterpret_cast<float*>(memory.data())[i] = v;
    else reinterpret_cast<uint16_t*>(memory.data())[i] = to_bfloat16(v).bits;
  }
  int bits;
  std::vector<Line> memory;
};

double applied(const FloatFunction& f, double x) {
  switch (f.kind) {
    case FloatFunction::sigmoid: return 1 / (1 + std::exp(-x));
    case FloatFunction::swish: return x / (1 + std::exp(-f.low * x));
    case FloatFunction::leaky: return x > 0 ? x : x * double(f.low);
    case FloatFunction::gelu: return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    default: return std::min<double>(std::max<double>(x, f.low), f.high);
  }
}

struct Case {
  int64_t rows, inner, columns;
  FloatFunction first, last;
  bool residual, blocked;
  int threads;
  bool wide = false;
};

void check(const FloatLinearKernel& kernel, const Case& c) {
  const int lanes = kernel.lanes, y_bits = c.wide ? 32 : kernel.bits;
  const int64_t vectors = (c.columns + lanes - 1) / lanes, chunk = c.blocked ? lanes : c.inner, chunks = (c.inner + chunk - 1) / chunk;
  const int64_t pitch = c.blocked ? lanes : c.columns + 3, y_count = c.blocked ? vectors * c.rows * lanes : c.rows * pitch;
  const float width = 1 / std::sqrt(float(c.inner));
  Values x(kernel.bits, c.rows * chunk * chunks, 1), w(32, c.inner * c.columns, 2, width), bias(32, vectors * lanes, 3), residual(y_bits, y_count, 4), y(y_bits, y_count, 5);
  if (kernel.weights != FloatWeights::f32)  // as they will be stored, so that only the sum and the result round
    for (int64_t i = 0; i < c.inner * c.columns; ++i)
      w.set(i, kernel.weights == FloatWeights::f16 ? to_float(to_half(w.at(i))) : to_float(to_bfloat16(w.at(i))));
  for (int64_t i = c.columns; i < vectors * lanes; ++i) bias.set(i, 0);
  for (int64_t i = 0; i < y_count; ++i) y.set(i, 77);
  std::vector<Line> packed(size_t(float_linear_bytes(kernel, c.inner, c.columns)) / 64 + 1);
  pack_float_linear(kernel, {w.memory.data(), c.columns, 1, c.inner, c.columns}, packed.data());
  FloatLinear job;
  job.x = x.memory.data(), job.weights = packed.data(), job.bias = reinterpret_cast<const float*>(bias.memory.data()), job.y = y.memory.data();
  job.x_row = c.blocked ? lanes : c.inner, job.x_inner = chunk, job.x_block = c.rows * lanes;
  job.y_row = pitch, job.y_block = c.blocked ? c.rows * lanes : lanes, job.whole = c.blocked;
  job.rows = c.rows, job.inner = c.inner, job.columns = c.columns;
  job.first = c.first, job.last = c.last, job.wide = c.wide;
  if (c.residual) job.residual = residual.memory.data();
  for (int thread = 0; thread < c.threads; ++thread) kernel.run(job, thread, c.threads);
  for (int64_t row = 0; row < c.rows; ++row) {
    for (int64_t column = 0; column < vectors * lanes; ++column) {
      const int64_t at = row * pitch + column / lanes * job.y_block + column % lanes;
      if (column >= c.columns) {
        if (c.blocked || column < c.columns + 3) {
          ASSERT_EQ(y.at(at), c.blocked ? 0 : 77) << kernel.name << ": behind the last column";
        }
        continue;
      }
      double sum = bias.at(column);
      for (int64_t k = 0; k < c.inner; ++k) sum += double(x.at(k / chunk * job.x_block + row * job.x_row + k % chunk)) * w.at(k * c.columns + column);
      sum = applied(c.first, sum);
      if (c.residual) sum += residual.at(at);
      const double expected = applied(c.last, sum);
      ASSERT_NEAR(y.at(at), expected, (y_bits == 32 ? 2e-6 : 5e-3) * (1 + std::abs(expected)))
          << kernel.name << " " << c.rows << "x" << c.inner << "x" << c.columns << (c.blocked ? " blocked" : "") << " at " << row << ", " << column;
    }
  }
}

const FloatFunction kNone{}, kRelu{FloatFunction::limits, 0}, kClip{FloatFunction::limits, -0.5f, 0.7f}, kSwish{FloatFunction::swish, 1.f}, kGelu{FloatFunction::gelu}, kLeaky{FloatFunction::leaky, 0.05f}, kSigmoid{FloatFunction::sigmoid};

TEST(FloatLinear, LikeItsDefinition) {
  for (const FloatLinearKernel& kernel : float_linear_kernels()) {
    if (!kernel.supported()) continue;
    for (int64_t rows : {1, 5, 12, 13, 61})
      for (int64_t inner : {2, 6, 32, 70})
        for (int64_t columns : {1, 7, 16, 24, 32, 40, 48, 80})
          for (bool blocked : {false, true}) {
            check(kernel, {rows, inner, columns, kNone, kRelu, false, blocked, 1});
            check(kernel, {rows, inner, columns, kSwish, kNone, true, blocked, 2});
            check(kernel, {rows, inner, columns, kNone, kClip, true, blocked, 1, true});
            check(kernel, {rows, inner, columns, kNone, kGelu, false, blocked, 1, true});
          }
  }
}

TEST(FloatLinear, EveryFunctionBeforeAndBehindASum) {
  for (const FloatLinearKernel& kernel : float_linear_kernels()) {
    if (!kernel.supported()) continue;
    for (const FloatFunction& first : {kNone, kRelu, kClip, kSwish, kGelu, kLeaky, kSigmoid})
      for (const FloatFunction& last : {kNone, kRelu, kClip, kSwish, kGelu, kLeaky, kSigmoid})
        for (int threads : {1, 3}) check(kernel, {30, 16, 104, first, last, true, threads == 3, threads});
  }
}

// Functions of large values: one column whose weight is 0, so that the bias is what they see.
TEST(FloatLinear, FunctionsOfLargeValues) {
  for (const FloatLinearKernel& kernel : float_linear_kernels()) {
    if (!kernel.supported()) continue;
    for (const FloatFunction& f : {kSwish, kGelu, kSigmoid})
      for (const float at : {-1e30f, -3000.f, -100.f, -88.f, -20.f, -5.f, -1e-20f, 0.f, 1e-20f, 5.f, 20.f, 88.f, 100.f, 1e30f}) {
        Values x(kernel.bits, 2, 1), y(kernel.bits, kernel.lanes, 2);
        const std::vector<float> w(2, 0.f);
        std::vector<Line> packed(16);
        alignas(64) float bias[16] = {at};
        pack_float_linear(kernel, {w.data(), 1, 1, 2, 1}, packed.data());
        FloatLinear job;
        job.x = x.memory.data(), job.weights = packed.data(), job.bias = bias, job.y = y.memory.data();
        job.x_row = job.x_inner = job.inner = 2, job.y_row = 1, job.y_block = kernel.lanes, job.rows = job.columns = 1;
        job.last = f;
        kernel.run(job, 0, 1);
        const double expected = applied(f, at);
        ASSERT_NEAR(y.at(0), expected, (kernel.bits == 32 ? 1e-6 : 5e-3) * std::max(1.0, std::abs(double(at)))) << kernel.name << " function " << f.kind << " of " << at;
      }
  }
}

// Each of the 65,536 patterns is a column's one weight, and the row is 1.
TEST(FloatLinear, EveryWeightOf16Bits) {
  constexpr int64_t kColumns = 65536;
  std::vector<uint16_t> w(kColumns);
  for (int64_t i = 0; i < kColumns; ++i) w[size_t(i)] = uint16_t(i);
  for (const FloatLinearKernel& kernel : float_linear_kernels()) {
    if (!kernel.supported() || kernel.weights == FloatWeights::f32 || kernel.bits != 32) continue;
    std::vector<Line> packed(kColumns * 2 / 64);
    pack_float_linear(kernel, {w.data(), 1, 1, 1, kColumns, kernel.weights}, packed.data());
    std::vector<float> y(2 * kColumns, 77.f);
    const float x[2] = {1, -2};
    FloatLinear job;
    job.x = x, job.weights = packed.data(), job.y = y.data();
    job.x_row = job.x_inner = job.inner = 1, job.y_row = kColumns, job.y_block = kernel.lanes, job.rows = 2,
    job.columns = kColumns;
    kernel.run(job, 0, 1);
    for (int64_t i = 0; i < kColumns; ++i) {
      const float value =
          kernel.weights == FloatWeights::f16 ? to_float(Half{uint16_t(i)}) : to_float(BFloat16{uint16_t(i)});
      for (int r = 0; r < 2; ++r) {
        const float expected = x[r] * value, found = y[size_t(r * kColumns + i)];
        if (std::isnan(expected)) continue;  // limits without any keep no NaN
        ASSERT_EQ(found, expected) << kernel.name << " pattern " << i << " row " << r;
      }
    }
  }
}

// Panel by panel, from stored weights at an odd address, it is what all at once from floats gives.
TEST(FloatLinear, PacksStoredWeightsInParts) {
  constexpr int64_t kInner = 6, kColumns = 75;
  for (const FloatLinearKernel& kernel : float_linear_kernels()) {
    const bool half = kernel.weights == FloatWeights::f16;
    if (kernel.weights == FloatWeights::f32) continue;
    Random random(7);
    std::vector<float> floats(kInner * kColumns);
    std::vector<std::byte> stored(floats.size() * 2 + 1);
    for (size_t i = 0; i < floats.size(); ++i) {
      const float value = float(random.normal());
      const uint16_t bits = half ? to_half(value).bits : to_bfloat16(value).bits;
      floats[i] = half ? to_float(Half{bits}) : to_float(BFloat16{bits});
      std::memcpy(stored.data() + 1 + 2 * i, &bits, 2);
    }
    const size_t lines = size_t(float_linear_bytes(kernel, kInner, kColumns)) / 64 + 1;
    std::vector<Line> whole(lines), parts(lines);
    pack_float_linear(kernel, {floats.data(), 1, kInner, kInner, kColumns}, whole.data());
    const int64_t panels = float_linear_panels(kernel, kColumns);
    for (int64_t panel = panels - 1; panel >= 0; --panel)
      pack_float_linear(kernel, {stored.data() + 1, 1, kInner, kInner, kColumns, kernel.weights}, panel, panel + 1,
                        parts.data());
    ASSERT_EQ(std::memcmp(whole.data(), parts.data(), size_t(float_linear_bytes(kernel, kInner, kColumns))), 0)
        << kernel.name;
  }
}

}  // namespace
}  // namespace pare
