// Integer Winograd convolutions against the definition, bit by bit.

#include "kernels/int8_winograd/int8_winograd.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/kernels/conv_int8_reference.h"

namespace pare {
namespace {

void check_kernel(const WinogradInt8Kernel& kernel, const ConvInt8Case& c) {
  const ConvInt8Shape& s = c.shape;
  std::mt19937 random(unsigned(s.in_c * 131 + s.out_c * 17 + s.in_h));
  const auto x = random_bytes(random, std::size_t(s.batch) * s.in_h * s.in_w * s.in_c, c.extreme);
  const auto w = conv_int8_weights(random, c);
  std::vector<std::int32_t> bias(s.out_c);
  for (auto& b : bias) b = static_cast<int>(random() % 20001) - 10000;
  const auto sums = conv_int8_reference_sums(c, x, w, bias);
  EpilogueData data(random, c.epilogue, std::size_t(s.batch) * s.out_h() * s.out_w() * s.out_c, s.out_c, sums);
  const auto expected = data.reference(sums, s.out_c);
  ASSERT_TRUE(fits_winograd_int8(kernel, s, w.data()));
  const PackedWinogradInt8 packed = pack_winograd_int8(kernel, s, {w.data(), c.bias ? bias.data() : nullptr, c.input_signed, c.input_zero});
  for (int threads = 1; threads <= 3; ++threads) {
    std::vector<std::uint8_t> output(expected.size() + 1, 0xa5);
    for (int thread = 0; thread < threads; ++thread) {
      std::vector<Int8Line> scratch(packed.scratch_bytes / sizeof(Int8Line) + 1);
      std::fill_n(reinterpret_cast<std::uint8_t*>(scratch.data()), scratch.size() * sizeof(Int8Line), std::uint8_t(0x5b));  // whatever was there
      kernel.run(packed, {x.data(), output.data(), scratch.data(), data.epilogue}, thread, threads);
    }
    EXPECT_EQ(output.back(), 0xa5) << "wrote past the end";
    output.pop_back();
    EXPECT_EQ(data.difference(output, expected), "") << kernel.name << " threads " << threads << " in " << s.in_h << "x" << s.in_w << "x" << s.in_c << " out " << s.out_c;
  }
}

void check(const ConvInt8Case& c) {
  for (const WinogradInt8Kernel& kernel : winograd_int8_kernels())
    if (kernel.supported()) check_kernel(kernel, c);
}

TEST(WinogradInt8, ShapesOfNetworks) {
  for (const auto& s : {square(32, 32, 16, 16, 3, 1, 1), square(16, 16, 32, 32, 3, 1, 1), square(8, 8, 64, 64, 3, 1, 1), square(7, 7, 64, 40, 3, 1, 1), square(5, 20, 16, 24, 3, 1, 0)})
    check({s, {}});
}

TEST(WinogradInt8, OddChannels) {
  for (int in_c : {16, 17, 31, 33, 50})
    for (int out_c : {1, 3, 8, 9, 15, 17, 50}) check({square(5, 6, in_c, out_c, 3, 1, 1), {}});
}

TEST(WinogradInt8, Pads) {
  for (const ConvInt8Shape& s : std::initializer_list<ConvInt8Shape>{
           {1, 9, 11, 16, 10, 1, 3, 3, 1, 1, 1, 1, 0, 1, 2, 0}, {1, 3, 3, 17, 16, 1, 3, 3, 1, 1, 1, 1, 2, 2, 2, 2}, {2, 12, 9, 20, 18, 1, 3, 3, 1, 1, 1, 1, 3, 1, 0, 4}})
    check({s, {}});
}

TEST(WinogradInt8, GroupsAndBatches) {
  check({{2, 6, 7, 48, 24, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {}});
  check({{3, 9, 4, 51, 27, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {}});
}

TEST(WinogradInt8, Epilogues) {
  for (const EpilogueCase& epilogue : all_epilogue_cases()) {
    check({square(8, 8, 16, 16, 3, 1, 1), epilogue});
    check({square(6, 7, 16, 13, 3, 1, 1), epilogue, true, -7});
  }
}

TEST(WinogradInt8, SignedInputAndZeroPoints) {
  for (int zero : {-128, -5, 0, 127}) check({square(6, 6, 16, 20, 3, 1, 1), {}, true, zero});
  for (int zero : {0, 128, 255}) check({square(6, 6, 17, 20, 3, 1, 1), {}, false, zero});
}

// Inputs of 0 and 255 and weights of ±127 and -128: the largest values at the points, and sums that wrap on the way.
TEST(WinogradInt8, ExtremeValues) {
  for (bool is_signed : {false, true}) {
    check({square(8, 8, 64, 33, 3, 1, 1), {.type = Int8Output::f32}, is_signed, is_signed ? 127 : 255, true});
    check({square(5, 5, 100, 16, 3, 1, 1), {.type = Int8Output::f32}, is_signed, is_signed ? -128 : 0, true});
  }
  // 115 · 9 · 127 · 255 = 33,518,... is the last whose sums all lie within 2^25.
  check({.shape = square(4, 4, 115, 8, 3, 1, 1), .epilogue = {.type = Int8Output::f32}, .extreme = true, .weight = 127});
}

TEST(WinogradInt8, LeavesOtherLayers) {
  for (const WinogradInt8Kernel& kernel : winograd_int8_kernels()) {
    const std::vector<std::int8_t> weights(128 * 32 * 25, 127);
    EXPECT_TRUE(fits_winograd_int8(kernel, square(9, 9, 115, 8, 3, 1, 1), weights.data()));
    EXPECT_FALSE(fits_winograd_int8(kernel, square(9, 9, 116, 8, 3, 1, 1), weights.data())) << "a sum may leave 2^25";
    EXPECT_FALSE(fits_winograd_int8(kernel, square(9, 9, 16, 16, 3, 2, 1), weights.data()));
    EXPECT_FALSE(fits_winograd_int8(kernel, square(9, 9, 16, 16, 5, 1, 1), weights.data()));
    EXPECT_FALSE(fits_winograd_int8(kernel, square(9, 9, 16, 16, 1, 1, 0), weights.data()));
    EXPECT_FALSE(fits_winograd_int8(kernel, square(2, 9, 16, 16, 3, 1, 1), weights.data())) << "squares lie mostly outside";
    EXPECT_FALSE(fits_winograd_int8(kernel, square(9, 9, kernel.inputs - 1, 16, 3, 1, 1), weights.data()));
    ConvInt8Shape dilated = square(9, 9, 16, 16, 3, 1, 2);
    dilated.dilation_h = 2;
    EXPECT_FALSE(fits_winograd_int8(kernel, dilated, weights.data()));
  }
}

}  // namespace
}  // namespace pare
