// Every elementwise_int8 kernel against plain loops, bit by bit.

#include "kernels/elementwise_int8/elementwise_int8.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>

#include "unit/kernels/int8_reference.h"

namespace pare {
namespace {

std::uint8_t clamped(double v, int zero, int lo, int hi) {
  return static_cast<std::uint8_t>(static_cast<int>(std::clamp(std::nearbyint(v) + zero, double(lo), double(hi))));
}

// Runs `share` of every supported kernel with 1 to 3 threads; `expected` are the output's bytes.
void check(
    const std::vector<std::uint8_t>& expected,
    const std::function<void(const ElementwiseInt8Kernel&, std::uint8_t* output, int thread, int threads)>& share) {
  for (const ElementwiseInt8Kernel& kernel : elementwise_int8_kernels()) {
    if (!kernel.supported()) continue;
    for (int threads = 1; threads <= 3; ++threads) {
      std::vector<std::uint8_t> output(expected.size() + 1, 0xa5);
      for (int thread = 0; thread < threads; ++thread) share(kernel, output.data(), thread, threads);
      ASSERT_EQ(output.back(), 0xa5) << "wrote past the end";
      output.pop_back();
      ASSERT_EQ(first_difference(output, expected), -1) << kernel.name << " threads " << threads;
    }
  }
}

std::vector<std::uint8_t> bytes_of(const std::vector<float>& values) {
  std::vector<std::uint8_t> bytes(values.size() * 4);
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(ElementwiseInt8, Quantize) {
  std::mt19937 random(1);
  for (int channels : {1, 3, 16, 17}) {
    for (bool nchw : {true, false}) {
      for (const Int8Type& type : {Int8Type{false, 0, 0.02f}, Int8Type{false, 131, 0.017f}, Int8Type{true, -9, 0.5f}}) {
        QuantizeInt8 job{nullptr, nullptr, 2, channels, 11, 13, nchw, type};
        const std::size_t area = 11 * 13;
        std::vector<float> x(2 * area * channels);
        for (auto& v : x) v = (static_cast<float>(random() % 4001) - 2000) / 1000 * type.scale * 100;
        for (std::size_t i = 0; i < x.size(); i += 5)
          x[i] = (static_cast<float>(random() % 200) - 100.5f) * type.scale;  // ties
        x[0] = 1e30f;
        x[1] = -std::numeric_limits<float>::infinity();
        const int lo = type.is_signed ? -128 : 0;
        std::vector<std::uint8_t> expected;
        for (int n = 0; n < 2; ++n)
          for (std::size_t p = 0; p < area; ++p)
            for (int c = 0; c < channels; ++c) {
              const volatile float v =
                  x[nchw ? (n * channels + c) * area + p : (n * area + p) * channels + c] / type.scale;
              expected.push_back(clamped(v, type.zero, lo, lo + 255));
            }
        job.input = x.data();
        check(expected, [&](const auto& kernel, std::uint8_t* output, int thread, int threads) {
          job.output = output;
          kernel.quantize(job, thread, threads);
        });
      }
    }
  }
}

TEST(ElementwiseInt8, Dequantize) {
  std::mt19937 random(2);
  for (int channels : {1, 3, 17}) {
    for (bool nchw : {true, false}) {
      for (const Int8Type& type : {Int8Type{false, 131, 0.017f}, Int8Type{true, -9, 0.5f}}) {
        DequantizeInt8 job{nullptr, nullptr, 2, channels, 9, 15, nchw, type};
        const std::size_t area = 9 * 15;
        const auto x = random_bytes(random, 2 * area * channels);
        std::vector<float> y(x.size());
        for (int n = 0; n < 2; ++n)
          for (std::size_t p = 0; p < area; ++p)
            for (int c = 0; c < channels; ++c) {
              const std::size_t i = (n * area + p) * channels + c;
              y[nchw ? (n * channels + c) * area + p : i] =
                  static_cast<float>(int8_value(x[i], type.is_signed) - type.zero) * type.scale;
            }
        job.input = x.data();
        check(bytes_of(y), [&](const auto& kernel, std::uint8_t* output, int thread, int threads) {
          std::vector<float> real(y.size());
          std::memcpy(real.data(), output, real.size() * 4);
          job.output = real.data();
          kernel.dequantize(job, thread, threads);
          std::memcpy(output, real.data(), real.size() * 4);
        });
      }
    }
  }
}

TEST(ElementwiseInt8, AddAndRequantize) {
  std::mt19937 random(3);
  for (std::size_t count : {1, 63, 64, 1000, 4099}) {
    const auto a = random_bytes(random, count), b = random_bytes(random, count);
    for (bool with_b : {true, false}) {
      for (bool a_signed : {false, true}) {
        for (bool out_signed : {false, true}) {
          AddInt8 job{a.data(),
                      with_b ? b.data() : nullptr,
                      nullptr,
                      count,
                      {a_signed, a_signed ? -3 : 120, 0.731f},
                      {!a_signed, 5, 1.25f},
                      out_signed,
                      out_signed ? -7 : 100,
                      out_signed ? -128 : 100,
                      out_signed ? 99 : 250};
          std::vector<std::uint8_t> expected;
          for (std::size_t i = 0; i < count; ++i) {
            volatile float v = static_cast<float>(int8_value(a[i], a_signed) - job.a_type.zero) * job.a_type.scale;
            volatile float w = static_cast<float>(int8_value(b[i], !a_signed) - job.b_type.zero) * job.b_type.scale;
            if (with_b) v = v + w;
            expected.push_back(clamped(v, job.out_zero, job.out_lo, job.out_hi));
          }
          check(expected, [&](const auto& kernel, std::uint8_t* output, int thread, int threads) {
            job.output = output;
            kernel.add(job, thread, threads);
          });
        }
      }
    }
  }
}

TEST(ElementwiseInt8, AddInPlace) {
  std::mt19937 random(4);
  const auto a = random_bytes(random, 700), b = random_bytes(random, 700);
  for (const ElementwiseInt8Kernel& kernel : elementwise_int8_kernels()) {
    if (!kernel.supported()) continue;
    auto first = a;
    std::vector<std::uint8_t> apart(700);
    AddInt8 job{first.data(), b.data(), apart.data(), 700, {false, 3, 0.4f}, {false, 9, 0.7f}};
    kernel.add(job, 0, 1);
    job.output = first.data();
    kernel.add(job, 0, 1);
    EXPECT_EQ(first, apart) << kernel.name;
  }
}

TEST(ElementwiseInt8, GlobalPool) {
  std::mt19937 random(5);
  for (int channels : {1, 10, 64, 300}) {
    for (bool is_signed : {false, true}) {
      for (bool real : {false, true}) {
        const auto x = random_bytes(random, std::size_t(2) * 49 * channels);
        GlobalPoolInt8 job{x.data(),  nullptr, 2,     49, channels, is_signed, is_signed ? -20 : 77,
                           0.9f / 49, real,    false, 90, 0,        255};
        std::vector<std::uint8_t> expected;
        std::vector<float> reals;
        for (int n = 0; n < 2; ++n)
          for (int c = 0; c < channels; ++c) {
            int sum = 0;
            for (int p = 0; p < 49; ++p) sum += int8_value(x[(std::size_t(n) * 49 + p) * channels + c], is_signed);
            const volatile float v = static_cast<float>(sum - 49 * job.input_zero) * job.multiplier;
            reals.push_back(float(v));
            expected.push_back(clamped(v, 90, 0, 255));
          }
        if (real) expected = bytes_of(reals);
        check(expected, [&](const auto& kernel, std::uint8_t* output, int thread, int threads) {
          std::vector<float> aligned(expected.size() / 4 + 1);
          std::memcpy(aligned.data(), output, expected.size());
          job.output = aligned.data();
          kernel.global_pool(job, thread, threads);
          std::memcpy(output, aligned.data(), expected.size());
        });
      }
    }
  }
}

// Average and max over windows, straight from the definition.
std::vector<std::uint8_t> reference_pool(const PoolInt8& job, const std::vector<std::uint8_t>& x) {
  std::vector<std::uint8_t> expected;
  for (int n = 0; n < job.batch; ++n)
    for (int oh = 0; oh < job.out_h; ++oh)
      for (int ow = 0; ow < job.out_w; ++ow)
        for (int c = 0; c < job.channels; ++c) {
          int sum = 0, pixels = 0, padded = 0, most = -1000;
          for (int h = oh * job.stride_h - job.pad_top; h < oh * job.stride_h - job.pad_top + job.kernel_h; ++h)
            for (int w = ow * job.stride_w - job.pad_left; w < ow * job.stride_w - job.pad_left + job.kernel_w; ++w) {
              padded += h < job.in_h + job.pad_bottom && w < job.in_w + job.pad_right;
              if (h < 0 || w < 0 || h >= job.in_h || w >= job.in_w) continue;
              const int value =
                  int8_value(x[((std::size_t(n) * job.in_h + h) * job.in_w + w) * job.channels + c], job.is_signed);
              sum += value;
              most = std::max(most, value);
              ++pixels;
            }
          const volatile float scale = job.multiplier / static_cast<float>(job.count_include_pad ? padded : pixels);
          const volatile float v = static_cast<float>(sum - pixels * job.input_zero) * scale;
          expected.push_back(job.average ? clamped(v, job.out_zero, job.out_lo, job.out_hi)
                                         : static_cast<std::uint8_t>(most));
        }
  return expected;
}

TEST(ElementwiseInt8, Pool) {
  std::mt19937 random(6);
  for (int channels : {1, 17, 64, 270}) {
    for (bool is_signed : {false, true}) {
      for (int mode : {0, 1, 2}) {
        for (int stride : {1, 2}) {
          const auto x = random_bytes(random, std::size_t(2) * 9 * 8 * channels);
          PoolInt8 job{x.data(),
                       nullptr,
                       2,
                       9,
                       8,
                       channels,
                       stride == 1 ? 9 : 5,
                       stride == 1 ? 8 : 4,
                       3,
                       3,
                       stride,
                       stride,
                       1,
                       1,
                       1,
                       1,
                       mode > 0,
                       mode == 2,
                       is_signed,
                       false,
                       is_signed ? -4 : 30,
                       1.07f,
                       33,
                       0,
                       240};
          check(reference_pool(job, x), [&](const auto& kernel, std::uint8_t* output, int thread, int threads) {
            job.output = output;
            kernel.pool(job, thread, threads);
          });
        }
      }
    }
  }
}

// Runs of every length, through a table and not, side by side and apart, from any first one to any last.
TEST(ElementwiseInt8, Move) {
  std::mt19937 random(5);
  std::array<std::uint8_t, 256> table;
  for (std::uint8_t& entry : table) entry = std::uint8_t(random());
  for (const std::int64_t run : {1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 31, 32, 48, 64, 70})
    for (const bool looked_up : {false, true})
      for (const std::int64_t apart : {1, 2}) {
        MoveInt8 job;
        job.table = looked_up ? table.data() : nullptr;
        const std::int64_t extents[6] = {1, 2, 1, 3, 7, run};
        // The input has rows and columns turned, and gaps.
        const std::int64_t pixel = run * apart + 2, inputs[6] = {0, 21 * pixel, 0, pixel, 3 * pixel, apart}, outputs[6] = {0, 21 * run, 0, 7 * run, run, 1};
        std::copy_n(extents, 6, job.extents);
        std::copy_n(inputs, 6, job.input_strides);
        std::copy_n(outputs, 6, job.output_strides);
        job.input_offset = 1;
        const std::vector<std::uint8_t> x = random_bytes(random, std::size_t(42 * pixel + 1));
        std::vector<std::uint8_t> expected;
        for (std::int64_t n = 0; n < 2; ++n)
          for (std::int64_t r = 0; r < 3; ++r)
            for (std::int64_t c = 0; c < 7; ++c)
              for (std::int64_t i = 0; i < run; ++i) {
                const std::uint8_t value = x[std::size_t(1 + n * 21 * pixel + r * pixel + c * 3 * pixel + i * apart)];
                expected.push_back(looked_up ? table[value] : value);
              }
        check(expected, [&](const ElementwiseInt8Kernel& kernel, std::uint8_t* output, int thread, int threads) {
          MoveInt8 mine = job;
          mine.input = x.data();
          mine.output = output;
          kernel.move(mine, thread, threads);
        });
      }
}

}  // namespace
}  // namespace pare
