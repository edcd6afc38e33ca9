#include "base/small_float.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/array.h"

namespace pare {
namespace {

constexpr Type kSigned[] = {Type::f8e4m3fn, Type::f8e4m3fnuz, Type::f8e5m2, Type::f8e5m2fnuz, Type::f4e2m1};
constexpr float kInf = std::numeric_limits<float>::infinity();

// Largest finite value and least positive one, from the formats' papers.
TEST(SmallFloat, RangesOfTheFormats) {
  const struct { Type type; float most, least; } rows[] = {{Type::f8e4m3fn, 448, 0x1p-9f}, {Type::f8e4m3fnuz, 240, 0x1p-10f},
                                                           {Type::f8e5m2, 57344, 0x1p-16f}, {Type::f8e5m2fnuz, 57344, 0x1p-17f},
                                                           {Type::f4e2m1, 6, 0.5f}};
  for (const auto& row : rows) {
    SCOPED_TRACE(type_text(row.type));
    EXPECT_EQ(small_to_float(row.type, float_to_small(row.type, 1e30f)), row.most);
    EXPECT_EQ(small_to_float(row.type, float_to_small(row.type, -1e30f)), -row.most);
    EXPECT_EQ(small_to_float(row.type, 1), row.least);
    EXPECT_EQ(small_to_float(row.type, float_to_small(row.type, row.least * 0.4f)), 0);
  }
}

// Every value comes back, and what lies between two goes to the nearer one, in the middle to the even code.
TEST(SmallFloat, RoundsToNearestEvenEverywhere) {
  for (Type type : kSigned) {
    SCOPED_TRACE(type_text(type));
    const int codes = type_bits(type) == 8 ? 128 : 8;
    for (int code = 0; code < codes; ++code) {
      const float low = small_to_float(type, uint8_t(code));
      if (!std::isfinite(low)) break;
      ASSERT_EQ(float_to_small(type, low), code);
      if (low != 0) {
        ASSERT_EQ(float_to_small(type, -low), code + codes);
      }
      const float high = code + 1 < codes ? small_to_float(type, uint8_t(code + 1)) : kInf;
      if (!std::isfinite(high)) break;
      const float middle = (low + high) / 2;
      ASSERT_EQ(float_to_small(type, middle), code + (code & 1)) << middle;
      ASSERT_EQ(float_to_small(type, std::nextafter(middle, 0.f)), code);
      ASSERT_EQ(float_to_small(type, std::nextafter(middle, kInf)), code + 1);
    }
  }
}

// The table in ONNX's description of Cast.
TEST(SmallFloat, BeyondTheRange) {
  const CastRule open{false};
  for (Type type : {Type::f8e4m3fn, Type::f8e4m3fnuz, Type::f8e5m2fnuz})
    for (float v : {1e6f, kInf, -kInf}) EXPECT_TRUE(std::isnan(small_to_float(type, float_to_small(type, v, open)))) << type_text(type) << v;
  EXPECT_EQ(small_to_float(Type::f8e5m2, float_to_small(Type::f8e5m2, -1e6f, open)), -kInf);
  EXPECT_EQ(small_to_float(Type::f8e5m2, float_to_small(Type::f8e5m2, kInf)), 57344);
  for (Type type : kSigned)
    if (type != Type::f4e2m1) {
      EXPECT_TRUE(std::isnan(small_to_float(type, float_to_small(type, NAN)))) << type_text(type);
    }
  EXPECT_EQ(float_to_small(Type::f8e4m3fnuz, -0.f), 0);  // its code would be NaN's
  EXPECT_EQ(float_to_small(Type::f8e4m3fn, -0.f), 0x80);
}

TEST(SmallFloat, PowersOfTwo) {
  using enum CastRule::Round;
  const struct { float value; CastRule::Round round; float expected; } rows[] = {
      {1.1f, up, 2}, {1.1f, down, 1}, {1.1f, nearest, 1}, {1.5f, nearest, 2}, {4, up, 4}, {0, up, 0x1p-127f}, {3e38f, up, 0x1p127f}, {-3, down, 2}};
  for (const auto& row : rows) EXPECT_EQ(small_to_float(Type::f8e8m0, float_to_small(Type::f8e8m0, row.value, {true, row.round})), row.expected) << row.value;
  EXPECT_TRUE(std::isnan(small_to_float(Type::f8e8m0, float_to_small(Type::f8e8m0, kInf))));
}

TEST(SmallFloat, PackedInArraysTheFirstInTheLowBits) {
  const Array four = Array::of<float>({3}, {1, -6, 0.5f}).cast(Type::f4e2m1);
  ASSERT_EQ(four.size_bytes(), 2u);
  EXPECT_EQ(four.bytes()[0], std::byte(0xf2));
  EXPECT_EQ(four.bytes()[1], std::byte(0x01));
  EXPECT_EQ(four.to_floats(), (std::vector<float>{1, -6, 0.5f}));
  const Array two = Array::of<int8_t>({5}, {1, -2, 0, -1, 1}).cast(Type::i2);
  ASSERT_EQ(two.size_bytes(), 2u);
  EXPECT_EQ(two.bytes()[0], std::byte(0xc9));
  EXPECT_EQ(two.to_integers(), (std::vector<int64_t>{1, -2, 0, -1, 1}));
  // A double just above the middle of 1 and 1.125 rounds up: it may not become the middle as a float first.
  EXPECT_EQ(Array::scalar(1.0625 + 1e-12).cast(Type::f8e4m3fn).to_floats(), (std::vector<float>{1.125f}));
}

}  // namespace
}  // namespace pare
