// Every depthwise_int8 kernel against a plain loop, bit by bit.

#include "kernels/depthwise_int8/depthwise_int8.h"

#include <gtest/gtest.h>

#include "unit/kernels/int8_reference.h"

namespace pare {
namespace {

struct Case {
  DepthwiseInt8Shape shape;
  EpilogueCase epilogue;
  bool input_signed = false;
  int input_zero = 3;
  bool extreme = false;
};

std::vector<std::int64_t> reference_sums(const Case& c, const std::vector<std::uint8_t>& x,
                                         const std::vector<std::int8_t>& w, const std::vector<std::int32_t>& bias) {
  const DepthwiseInt8Shape& s = c.shape;
  std::vector<std::int64_t> sums;
  for (int n = 0; n < s.batch; ++n)
    for (int oh = 0; oh < s.out_h(); ++oh)
      for (int ow = 0; ow < s.out_w(); ++ow)
        for (int ch = 0; ch < s.channels; ++ch) {
          std::int64_t sum = bias[ch];
          for (int kh = 0; kh < s.kernel_h; ++kh)
            for (int kw = 0; kw < s.kernel_w; ++kw) {
              const int ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
              const int iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
              if (ih < 0 || iw < 0 || ih >= s.in_h || iw >= s.in_w) continue;
              const int value =
                  int8_value(x[((std::size_t(n) * s.in_h + ih) * s.in_w + iw) * s.channels + ch], c.input_signed);
              sum += std::int64_t(value - c.input_zero) * w[(std::size_t(ch) * s.kernel_h + kh) * s.kernel_w + kw];
            }
          sums.push_back(sum);
        }
  return sums;
}

void check(const Case& c) {
  const DepthwiseInt8Shape& s = c.shape;
  std::mt19937 random(s.channels * 131 + s.kernel_h);
  const auto x = random_bytes(random, std::size_t(s.batch) * s.in_h * s.in_w * s.channels, c.extreme);
  const auto w = random_weights(random, std::size_t(s.channels) * s.kernel_h * s.kernel_w, c.extreme);
  std::vector<std::int32_t> bias(s.channels);
  for (auto& b : bias) b = static_cast<int>(random() % 2001) - 1000;
  const std::size_t count = std::size_t(s.batch) * s.out_h() * s.out_w() * s.channels;
  const auto sums = reference_sums(c, x, w, bias);
  const EpilogueData data(random, c.epilogue, count, s.channels, sums);
  const auto expected = data.reference(sums, s.channels);
  std::vector<std::uint8_t> first;
  for (const DepthwiseInt8Kernel& kernel : depthwise_int8_kernels()) {
    if (!kernel.supported()) continue;
    const PackedDepthwiseInt8 packed = kernel.pack(s, {w.data(), bias.data(), c.input_signed, c.input_zero});
    for (int threads = 1; threads <= 3; ++threads) {
      std::vector<std::uint8_t> output(expected.size() + 1, 0xa5);
      for (int thread = 0; thread < threads; ++thread) {
        std::vector<Int8Line> scratch(packed.scratch_bytes / sizeof(Int8Line) + 1);
        kernel.run(packed, {x.data(), output.data(), scratch.data(), data.epilogue}, thread, threads);
      }
      ASSERT_EQ(output.back(), 0xa5) << "wrote past the end";
      output.pop_back();
      ASSERT_EQ(data.difference(output, expected), "")
          << kernel.name << " threads " << threads << " in " << s.in_h << "x" << s.in_w << "x" << s.channels
          << " kernel " << s.kernel_h << "x" << s.kernel_w << " stride " << s.stride_h;
      if (first.empty()) first = output;
      ASSERT_EQ(output, first) << kernel.name;
    }
  }
}

DepthwiseInt8Shape square(int h, int w, int channels, int k, int stride) {
  return {1, h, w, channels, k, k, stride, stride, 1, 1, k / 2, k / 2, k / 2, k / 2};
}

TEST(DepthwiseInt8, Channels) {
  for (int channels : {1, 3, 5, 16, 17, 32, 33, 63, 64, 65, 96, 144, 192}) {
    for (int stride : {1, 2}) {
      check({square(7, 9, channels, 3, stride), {}});
      check({square(8, 6, channels, 5, stride), {}});
    }
  }
}

TEST(DepthwiseInt8, StridesDilationsAndPads) {
  for (const DepthwiseInt8Shape& s :
       std::initializer_list<DepthwiseInt8Shape>{{2, 9, 11, 20, 3, 3, 1, 1, 1, 1, 0, 1, 2, 3},
                                                 {1, 9, 11, 70, 3, 3, 2, 2, 1, 1, 0, 0, 1, 1},
                                                 {1, 9, 11, 20, 3, 3, 1, 2, 1, 1, 1, 1, 1, 1},
                                                 {1, 9, 11, 20, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1},
                                                 {1, 9, 11, 20, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1},
                                                 {1, 9, 11, 20, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2},
                                                 {1, 1, 1, 20, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1},
                                                 {1, 3, 2, 20, 7, 7, 1, 1, 1, 1, 3, 3, 3, 3},
                                                 {1, 1, 30, 20, 1, 9, 1, 2, 1, 1, 0, 4, 0, 4},
                                                 {1, 12, 5, 20, 4, 2, 1, 1, 1, 1, 2, 0, 1, 1},
                                                 {1, 6, 6, 64, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0}}) {
    check({s, {}});
  }
}

TEST(DepthwiseInt8, Epilogues) {
  for (const EpilogueCase& epilogue : all_epilogue_cases()) {
    check({square(6, 5, 64, 3, 1), epilogue});
    check({square(6, 5, 37, 3, 2), epilogue, true, -7});
    check({square(7, 5, 9, 3, 1), epilogue});
    check({square(5, 5, 24, 3, 2), epilogue});
  }
}

TEST(DepthwiseInt8, SignedInputZeroPointsAndExtremes) {
  for (bool extreme : {false, true}) {
    for (int zero : {-128, -5, 0, 127}) check({square(6, 6, 40, 3, 1), {}, true, zero, extreme});
    for (int zero : {0, 128, 255}) check({square(6, 6, 40, 3, 1), {}, false, zero, extreme});
    check({square(6, 6, 40, 3, 1), {.multiplier = 1e7f}, false, 0, extreme});
  }
}

}  // namespace
}  // namespace pare
