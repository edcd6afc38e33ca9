#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace pare {
namespace {

// Every value of 16 bits against the compiler's own _Float16.
TEST(Half, EveryValueToFloat) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto narrow = uint16_t(bits);
    _Float16 theirs;
    std::memcpy(&theirs, &narrow, 2);
    const float expected = float(theirs), found = to_float(Half{narrow});
    if (std::isnan(expected)) EXPECT_TRUE(std::isnan(found)) << bits;
    else EXPECT_EQ(std::bit_cast<uint32_t>(found), std::bit_cast<uint32_t>(expected)) << bits;
  }
}

uint16_t expected_half(float value) {
  const auto theirs = _Float16(value);
  uint16_t bits;
  std::memcpy(&bits, &theirs, 2);
  return bits;
}

// Around every half: the value, the midpoint to the next one, and one float step to both sides of each.
TEST(Half, RoundsToNearestEvenEverywhere) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits)
    for (float sign : {1.f, -1.f}) {
      const float low = to_float(Half{uint16_t(bits)}), high = bits == 0x7bff ? 65536.f : to_float(Half{uint16_t(bits + 1)});
      for (float at : {low, low / 2 + high / 2})
        for (float v : {at, std::nextafter(at, 1e9f), std::nextafter(at, -1e9f)}) ASSERT_EQ(to_half(sign * v).bits, expected_half(sign * v)) << sign * v;
    }
  for (float v : {1e30f, -1e30f, 65519.996f, 65520.f, INFINITY, -INFINITY, 1e-30f, -1e-45f, 0.f, -0.f})
    EXPECT_EQ(to_half(v).bits, expected_half(v)) << v;
}

TEST(Half, NanStaysNan) {
  for (uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xffffffffu, 0xff800001u}) {
    EXPECT_TRUE(std::isnan(to_float(to_half(std::bit_cast<float>(bits)))));
    EXPECT_TRUE(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(bits)))));
  }
}

// bfloat16 by search: the representable neighbour that is nearer, the even one at a tie.
TEST(BFloat16, RoundsToNearestEvenEverywhere) {
  for (uint32_t bits = 0; bits < 0x7f7f; ++bits) {
    const float low = to_float(BFloat16{uint16_t(bits)}), high = to_float(BFloat16{uint16_t(bits + 1)});
    ASSERT_EQ(to_bfloat16(low).bits, bits);
    const auto middle = float((double(low) + high) / 2);
    ASSERT_EQ(to_bfloat16(middle).bits, bits + (bits & 1)) << low;
    ASSERT_EQ(to_bfloat16(std::nextafter(middle, 0.f)).bits, bits) << low;
    ASSERT_EQ(to_bfloat16(std::nextafter(middle, INFINITY)).bits, bits + 1) << low;
    ASSERT_EQ(to_bfloat16(-middle).bits, (bits + (bits & 1)) | 0x8000u) << low;
  }
  EXPECT_EQ(to_bfloat16(3.4e38f).bits, 0x7f80);  // above the largest: infinity
  EXPECT_EQ(to_bfloat16(INFINITY).bits, 0x7f80);
}

}  // namespace
}  // namespace pare
