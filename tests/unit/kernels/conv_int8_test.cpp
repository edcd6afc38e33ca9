// Every conv_int8 kernel against a plain loop, bit by bit.

#include "kernels/conv_int8/conv_int8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "unit/kernels/conv_int8_reference.h"

namespace pare {
namespace {

// All tilings and thread counts of one kernel on one case; returns the output, which must be that of every other
// kernel.
std::vector<std::uint8_t> check_kernel(const ConvInt8Kernel& kernel, const ConvInt8Case& c, bool every_tiling) {
  const ConvInt8Shape& s = c.shape;
  std::mt19937 random(s.in_c * 131 + s.out_c * 17 + s.kernel_h);
  const auto x = random_bytes(random, std::size_t(s.batch) * s.in_h * s.in_w * s.in_c, c.extreme);
  const auto w = conv_int8_weights(random, c);
  std::vector<std::int32_t> bias(s.out_c);
  for (auto& b : bias) b = static_cast<int>(random() % 20001) - 10000;
  const std::size_t count = std::size_t(s.batch) * s.out_h() * s.out_w() * s.out_c;
  const auto sums = conv_int8_reference_sums(c, x, w, bias);
  EpilogueData data(random, c.epilogue, count, s.out_c, sums);
  const auto expected = data.reference(sums, s.out_c);

  std::vector<std::uint8_t> last;
  auto tilings = conv_int8_tilings(kernel, s);
  if (!every_tiling) tilings.resize(1);
  for (const ConvInt8Tiling& tiling : tilings) {
    const PackedConvInt8 packed =
        pack_conv_int8(kernel, s, {w.data(), c.bias ? bias.data() : nullptr, c.input_signed, c.input_zero}, tiling);
    for (int threads = 1; threads <= 3; ++threads) {
      std::vector<std::uint8_t> output(expected.size() + 1, 0xa5);
      for (int thread = 0; thread < threads; ++thread) {
        std::vector<Int8Line> scratch(packed.scratch_bytes / sizeof(Int8Line), Int8Line{});
        ConvInt8Args args{x.data(), output.data(), scratch.data(), data.epilogue};
        kernel.run(packed, args, thread, threads);
      }
      EXPECT_EQ(output.back(), 0xa5) << "wrote past the end";
      output.pop_back();
      EXPECT_EQ(data.difference(output, expected), "")
          << kernel.name << " tile " << tiling.pixels << "x" << tiling.vectors << " band " << tiling.band_rows
          << " threads " << threads << " in " << s.in_h << "x" << s.in_w << "x" << s.in_c << " out " << s.out_c
          << " kernel " << s.kernel_h << "x" << s.kernel_w;
      EXPECT_TRUE(last.empty() || output == last) << kernel.name << ": another tiling or thread count gives other bits";
      last = output;
    }
  }
  return last;
}

void check(const ConvInt8Case& c, bool every_tiling = false) {
  std::vector<std::uint8_t> first;
  for (const ConvInt8Kernel& kernel : conv_int8_kernels()) {
    if (!kernel.supported()) continue;
    const auto output = check_kernel(kernel, c, every_tiling);
    if (first.empty()) first = output;
    ASSERT_EQ(output, first) << kernel.name;
  }
}

TEST(ConvInt8, ShapesOfNetworks) {
  for (const auto& s :
       {square(32, 32, 3, 16, 3, 1, 1), square(32, 32, 16, 16, 3, 1, 1), square(16, 16, 32, 32, 3, 1, 1),
        square(32, 32, 16, 32, 3, 2, 1), square(8, 8, 64, 64, 3, 1, 1), square(7, 7, 64, 40, 3, 1, 1),
        square(21, 23, 3, 64, 7, 2, 3), square(14, 14, 24, 144, 1, 1, 0), square(14, 14, 64, 128, 1, 2, 0),
        square(5, 20, 8, 16, 3, 1, 1), square(6, 12, 4, 10, 3, 1, 1), square(3, 36, 12, 33, 3, 1, 0)}) {
    check({s, {}}, true);
  }
}

TEST(ConvInt8, OddChannels) {
  for (int in_c : {1, 3, 5, 17, 33}) {
    for (int out_c : {1, 3, 5, 17, 33}) {
      check({square(5, 6, in_c, out_c, 3, 1, 1), {}});
      check({square(4, 7, in_c, out_c, 1, 1, 0), {}});
    }
  }
}

TEST(ConvInt8, OutputChannelBlocks) {
  for (int out_c : {48, 49, 64, 80, 100, 112}) check({square(5, 5, 8, out_c, 1, 1, 0), {}}, true);
}

TEST(ConvInt8, StridesDilationsAndPads) {
  for (const ConvInt8Shape& s :
       std::initializer_list<ConvInt8Shape>{{1, 9, 11, 6, 10, 1, 3, 2, 2, 3, 1, 1, 0, 1, 2, 3},
                                            {1, 9, 11, 8, 20, 1, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2},
                                            {1, 12, 9, 5, 18, 1, 2, 3, 3, 1, 1, 3, 1, 0, 0, 4},
                                            {1, 8, 8, 4, 16, 1, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0},
                                            {1, 3, 3, 7, 9, 1, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2},
                                            {1, 1, 40, 4, 8, 1, 1, 9, 1, 4, 1, 1, 0, 4, 0, 4},
                                            {2, 6, 5, 9, 17, 1, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1}}) {
    check({s, {}}, true);
  }
}

TEST(ConvInt8, Groups) {
  for (const ConvInt8Shape& s :
       std::initializer_list<ConvInt8Shape>{{1, 6, 7, 8, 36, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1},
                                            {2, 6, 7, 12, 12, 3, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0},
                                            {1, 6, 7, 15, 30, 5, 3, 3, 2, 2, 1, 1, 0, 0, 0, 0},
                                            {1, 6, 7, 16, 16, 2, 3, 3, 1, 1, 2, 2, 1, 2, 3, 0}}) {
    check({s, {}});
  }
}

TEST(ConvInt8, FullyConnected) {
  for (int rows : {1, 2, 7, 33}) {
    ConvInt8Shape s{.batch = rows, .in_c = 64, .out_c = 10};
    check({s, {}}, true);
    s.in_c = 31;
    s.out_c = 100;
    check({s, {.type = Int8Output::f32}}, true);
  }
}

TEST(ConvInt8, Epilogues) {
  for (const EpilogueCase& epilogue : all_epilogue_cases()) {
    check({square(8, 8, 8, 16, 3, 1, 1), epilogue});
    check({square(5, 7, 4, 37, 1, 1, 0), epilogue});
    check({square(6, 6, 4, 64, 3, 2, 1), epilogue, true, -7});
  }
}

TEST(ConvInt8, SignedInputAndZeroPoints) {
  for (int zero : {-128, -5, 0, 127}) {
    check({square(6, 6, 8, 20, 3, 1, 1), {}, true, zero});
    check({square(6, 6, 8, 20, 1, 1, 0), {}, true, zero, false, false});
  }
  for (int zero : {0, 128, 255}) check({square(6, 6, 5, 20, 3, 1, 1), {}, false, zero});
}

TEST(ConvInt8, ExtremeValues) {
  for (bool is_signed : {false, true}) {
    check({square(4, 4, 64, 33, 3, 1, 1), {.type = Int8Output::f32}, is_signed, is_signed ? 127 : 255, true});
    check({square(4, 4, 64, 33, 3, 1, 1), {}, is_signed, is_signed ? -128 : 0, true});
    check({square(3, 3, 512, 16, 3, 1, 1), {.multiplier = 4e5f}, is_signed, 0, true});
  }
}

TEST(ConvInt8, SmallWeights) {
  for (int divisor : {2, 4, 8}) {
    check({.shape = square(9, 10, 16, 40, 3, 1, 1), .divisor = divisor}, true);
    check({.shape = square(6, 7, 20, 12, 3, 2, 1), .divisor = divisor}, true);
    check({.shape = square(5, 7, 67, 24, 1, 1, 0), .input_signed = true, .divisor = divisor});
  }
}

// The largest inputs and weights at which so many steps still fit 16 bits, and one more.
TEST(ConvInt8, ProductsAddedIn16Bits) {
  constexpr struct { int weight, list; } kCases[] = {{16, 2}, {17, 1}, {32, 1}, {33, 0}, {64, 0}, {65, 3}, {127, 3}};
  for (const auto& [weight, list] : kCases) {
    const ConvInt8Case c{.shape = square(4, 4, 64, 16, 1, 1, 0), .extreme = true, .weight = weight};
    check(c, true);
    std::mt19937 random(1);
    const auto weights = conv_int8_weights(random, c);
    for (const ConvInt8Kernel& kernel : conv_int8_kernels()) {
      if (!kernel.pairs) continue;
      const PackedConvInt8 packed = pack_conv_int8(kernel, c.shape, {weights.data()});
      for (int i = 0; i <= kConvInt8Joins; ++i) {
        const ConvInt8StepList& steps = i < kConvInt8Joins ? packed.joined[std::size_t(i)] : packed.wide;
        EXPECT_EQ(steps.offsets.size(), i == list ? packed.listed_steps() : 0) << weight << " list " << i;
      }
      EXPECT_EQ(packed.listed_steps() % 16, 0) << "64 inputs of every block";
      EXPECT_GT(packed.listed_steps(), 0u);
    }
  }
}

}  // namespace
}  // namespace pare
