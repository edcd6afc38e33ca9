// Every sparse_int8 kernel in every form against a plain loop, and against the dense kernel, bit by bit.

#include "kernels/sparse_int8/sparse_int8.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "unit/kernels/conv_int8_reference.h"

namespace pare {
namespace {

// Whether the weight of an output and an input (channel, kernel row and column counted through) stays.
using Mask = std::function<bool(std::mt19937& random, int output, int input)>;

Mask unstructured(double density) {
  return [=](std::mt19937& random, int, int) { return random() % 10000 < density * 10000; };
}

// Outputs that differ much, some of them empty.
bool uneven(std::mt19937& random, int output, int) {
  return output % 5 != 0 && int(random() % 64) < output % 23;
}

// Groups of 16 outputs and 4 inputs channels that stay or go together.
bool in_blocks(std::mt19937&, int output, int input) {
  return ((output / 16) * 7 + (input / 4) * 13) % 5 == 0;
}

std::vector<std::int8_t> masked_weights(std::mt19937& random, const ConvInt8Case& c, const Mask& mask) {
  const ConvInt8Shape& s = c.shape;
  auto weights = random_weights(random, std::size_t(s.out_c) * s.in_c * s.kernel_h * s.kernel_w, c.extreme);
  const int taps = s.kernel_h * s.kernel_w;
  std::size_t i = 0;
  for (int o = 0; o < s.out_c; ++o)
    for (int ic = 0; ic < s.in_c; ++ic)
      for (int tap = 0; tap < taps; ++tap, ++i)
        if (!mask(random, o, tap * s.in_c + ic)) weights[i] = 0;
  return weights;
}

std::vector<SparseInt8Form> all_forms(const SparseInt8Kernel& kernel) {
  std::vector<SparseInt8Form> forms;
  for (int pixels : {kernel.max_pixels, 3}) {
    for (int step = kernel.window; step >= 4; step /= 2) forms.push_back({0, step, pixels});
    forms.push_back({1, 64, pixels}), forms.push_back({2, 64, pixels});
    if (kernel.planes) forms.push_back({.planes = true});
  }
  return forms;
}

void check(const ConvInt8Case& c, const Mask& mask) {
  const ConvInt8Shape& s = c.shape;
  std::mt19937 random(s.in_c * 131 + s.out_c * 17 + s.kernel_h);
  const auto x = random_bytes(random, std::size_t(s.batch) * s.in_h * s.in_w * s.in_c, c.extreme);
  const auto w = masked_weights(random, c, mask);
  std::vector<std::int32_t> bias(s.out_c);
  for (auto& b : bias) b = static_cast<int>(random() % 20001) - 10000;
  const auto sums = conv_int8_reference_sums(c, x, w, bias);
  EpilogueData data(random, c.epilogue, std::size_t(s.batch) * s.out_h() * s.out_w() * s.out_c, s.out_c, sums);
  const auto expected = data.reference(sums, s.out_c);
  std::vector<std::uint8_t> first;
  for (const SparseInt8Kernel& kernel : sparse_int8_kernels()) {
    if (!kernel.supported()) continue;
    for (const SparseInt8Form& form : all_forms(kernel)) {
      const auto packed = pack_sparse_int8(kernel, s, {w.data(), c.bias ? bias.data() : nullptr, c.input_signed, c.input_zero}, form);
      for (int threads = 1; threads <= 3; ++threads) {
        std::vector<std::uint8_t> output(expected.size() + 1, 0xa5);
        for (int thread = 0; thread < threads; ++thread) {
          std::vector<Int8Line> scratch(packed.scratch_bytes / sizeof(Int8Line), Int8Line{});
          kernel.run(packed, {x.data(), output.data(), scratch.data(), data.epilogue}, thread, threads);
        }
        ASSERT_EQ(output.back(), 0xa5) << "wrote past the end";
        output.pop_back();
        ASSERT_EQ(data.difference(output, expected), "")
            << kernel.name << " together " << form.together << " step " << form.step << " planes " << form.planes << " pixels " << form.pixels << " threads " << threads << " in " << s.in_h << "x"
            << s.in_w << "x" << s.in_c << " out " << s.out_c << " kernel " << s.kernel_h << "x" << s.kernel_w;
        if (first.empty()) first = output;
        ASSERT_EQ(output, first) << kernel.name << ": another form, thread count or instruction set gives other bits";
      }
    }
  }
}

TEST(SparseInt8, ShapesOfNetworks) {
  for (const auto& s : {square(32, 32, 3, 16, 3, 1, 1), square(16, 16, 32, 32, 3, 1, 1), square(16, 16, 16, 32, 3, 2, 1), square(7, 7, 64, 40, 3, 1, 1),
                        square(11, 13, 3, 64, 7, 2, 3), square(9, 9, 24, 144, 1, 1, 0), square(8, 8, 200, 96, 1, 2, 0), square(6, 12, 4, 10, 3, 1, 1),
                        square(5, 7, 80, 130, 3, 1, 0)})
    for (double density : {0.1, 0.5}) check({s, {}}, unstructured(density));
}

TEST(SparseInt8, Densities) {
  for (double density : {0.0, 0.01, 0.3, 1.0}) {
    check({square(5, 6, 96, 70, 1, 1, 0), {}}, unstructured(density));
    check({square(5, 6, 40, 33, 3, 1, 1), {}}, unstructured(density));
  }
}

TEST(SparseInt8, UnevenOutputsAndBlocks) {
  for (const auto& s : {square(5, 9, 128, 128, 1, 1, 0), square(6, 6, 32, 64, 3, 1, 1), square(4, 4, 20, 48, 3, 2, 1)}) {
    check({s, {}}, uneven);
    check({s, {}}, in_blocks);
  }
}

TEST(SparseInt8, OddChannels) {
  for (int in_c : {1, 3, 17, 65})
    for (int out_c : {1, 5, 17, 65}) {
      check({square(4, 5, in_c, out_c, 3, 1, 1), {}}, unstructured(0.2));
      check({square(3, 7, in_c, out_c, 1, 1, 0), {}}, unstructured(0.2));
    }
}

TEST(SparseInt8, StridesDilationsAndPads) {
  for (const ConvInt8Shape& s :
       std::initializer_list<ConvInt8Shape>{{1, 9, 11, 6, 10, 1, 3, 2, 2, 3, 1, 1, 0, 1, 2, 3}, {1, 9, 11, 8, 20, 1, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2},
                                            {1, 12, 9, 5, 18, 1, 2, 3, 3, 1, 1, 3, 1, 0, 0, 4}, {1, 8, 8, 4, 16, 1, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0},
                                            {1, 3, 3, 7, 9, 1, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2},   {1, 1, 40, 4, 8, 1, 1, 9, 1, 4, 1, 1, 0, 4, 0, 4},
                                            {2, 6, 5, 9, 17, 1, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1},  {2, 7, 6, 68, 20, 1, 3, 2, 1, 1, 1, 2, 0, 0, 0, 0}})
    check({s, {}}, unstructured(0.3));
}

TEST(SparseInt8, FullyConnected) {
  for (int rows : {1, 2, 7, 33}) {
    ConvInt8Shape s{.batch = rows, .in_c = 320, .out_c = 150};
    check({s, {}}, unstructured(0.15));
    s.in_c = 31;
    check({s, {.type = Int8Output::f32}}, unstructured(0.15));
  }
}

TEST(SparseInt8, Epilogues) {
  for (const EpilogueCase& epilogue : all_epilogue_cases()) {
    check({square(4, 4, 8, 16, 3, 1, 1), epilogue}, unstructured(0.3));
    check({square(3, 5, 4, 37, 1, 1, 0), epilogue}, uneven);
    check({square(3, 3, 12, 64, 3, 2, 1), epilogue, true, -7}, unstructured(0.3));
    check({square(3, 3, 24, 100, 1, 1, 0), epilogue}, uneven);
  }
}

TEST(SparseInt8, SignedInputAndZeroPoints) {
  for (int zero : {-128, -5, 0, 127}) {
    check({square(5, 5, 8, 20, 3, 1, 1), {}, true, zero}, unstructured(0.2));
    check({square(5, 5, 8, 20, 1, 1, 0), {}, true, zero, false, false}, unstructured(0.2));
  }
  for (int zero : {0, 128, 255}) check({square(5, 5, 5, 20, 3, 1, 1), {}, false, zero}, unstructured(0.2));
}

TEST(SparseInt8, ExtremeValues) {
  for (bool is_signed : {false, true}) {
    check({square(4, 4, 64, 33, 3, 1, 1), {.type = Int8Output::f32}, is_signed, is_signed ? 127 : 255, true}, unstructured(0.9));
    check({square(4, 4, 64, 33, 3, 1, 1), {.multiplier = 4e5f}, is_signed, 0, true}, unstructured(0.9));
  }
}

TEST(SparseInt8, FormsFollowThePattern) {
  for (const SparseInt8Kernel& kernel : sparse_int8_kernels()) {
    ConvInt8Case c{square(14, 14, 256, 256, 1, 1, 0), {}};
    std::mt19937 random(1);
    const auto blocks = sparse_int8_forms(kernel, c.shape, masked_weights(random, c, in_blocks).data());
    const auto gather = sparse_int8_forms(kernel, c.shape, masked_weights(random, c, unstructured(0.15)).data());
    ASSERT_FALSE(blocks.empty());
    ASSERT_FALSE(gather.empty());
    EXPECT_GT(blocks.front().together, 0) << kernel.name;
    EXPECT_EQ(gather.front().together, 0) << kernel.name;
    ConvInt8Shape grouped = c.shape;
    grouped.groups = 2;
    EXPECT_TRUE(sparse_int8_forms(kernel, grouped, masked_weights(random, c, in_blocks).data()).empty());
  }
}

}  // namespace
}  // namespace pare
