#include "base/array.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/files.h"
#include "base/float16.h"
#include "support/places.h"

namespace pare {
namespace {

TEST(Array, ExtentsAreChecked) {
  EXPECT_EQ(count_of({}), 1);
  EXPECT_EQ(count_of({3, 0, 5}), 0);
  EXPECT_THROW(count_of({2, -1}), Error);
  EXPECT_THROW(count_of({int64_t(1) << 40, int64_t(1) << 40}), Error);
  EXPECT_THROW(count_of({std::numeric_limits<int64_t>::max(), 2}), Error);
  EXPECT_EQ(dims_text({1, 3}), "1x3");
  EXPECT_EQ(dims_text({}), "scalar");
}

TEST(Array, CopiesShareUntilWritten) {
  Array a = Array::of<float>({2}, {1, 2});
  Array b = a;
  EXPECT_EQ(a.bytes(), b.bytes());
  b.mutable_values<float>()[0] = 9;
  EXPECT_EQ(a.values<float>()[0], 1);
  EXPECT_EQ(b.values<float>()[0], 9);
  const Array c = b.reshaped({1, 2});
  b.mutable_values<float>()[1] = 7;
  EXPECT_EQ(c.values<float>()[1], 2);
  EXPECT_THROW(b.reshaped({3}), std::logic_error);
}

TEST(Array, ForeignBytesAreCopiedBeforeWriting) {
  auto owner = std::make_shared<const std::vector<float>>(std::vector<float>{1, 2, 3});
  Array a(Type::f32, {3}, owner, reinterpret_cast<const std::byte*>(owner->data()), 12);
  EXPECT_EQ(a.values<float>().data(), owner->data());
  a.mutable_values<float>()[0] = 5;
  EXPECT_EQ((*owner)[0], 1);
  EXPECT_EQ(a.values<float>()[2], 3);
}

// Small copies lie in the heap, large ones on pages of their own; vector loads may run past the end of both.
TEST(Array, CopiesOfAFilesBytesAreAligned) {
  const testing::TemporaryFolder folder;
  for (const int64_t count : {1000, 1 << 19}) {
    const auto file = MappedFile::open(folder.write("bytes", std::string(size_t(count) + 1, '\7')));
    const Array there = Array::in_file(Type::u8, {count}, file, file->bytes().data() + 1, size_t(count));
    Array copy = there.aligned();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(copy.bytes()) % 64, 0u);
    EXPECT_TRUE(copy.same_as(there));
    for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(copy.bytes()[count + i], std::byte{0});
    copy.mutable_values<uint8_t>()[0] = 1;
    EXPECT_EQ(file->bytes()[1], std::byte{7});
  }
}

TEST(Array, MemoryIsZeroAndAligned) {
  for (Type type : {Type::f32, Type::i4, Type::f64, Type::boolean}) {
    const Array a(type, {3, 5});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a.bytes()) % 64, 0u);
    EXPECT_EQ(a.size_bytes(), (15u * unsigned(type_bits(type)) + 7) / 8);
    for (size_t i = 0; i < a.size_bytes(); ++i) EXPECT_EQ(a.bytes()[i], std::byte(0));
  }
}

TEST(Array, FourBitsAPieceTheFirstInTheLowHalf) {
  const Array wide = Array::of<int8_t>({5}, {1, -8, 7, -1, 5});
  const Array packed = wide.cast(Type::i4);
  ASSERT_EQ(packed.size_bytes(), 3u);
  EXPECT_EQ(packed.bytes()[0], std::byte(0x81));
  EXPECT_EQ(packed.bytes()[1], std::byte(0xf7));
  EXPECT_EQ(packed.bytes()[2], std::byte(0x05));
  EXPECT_TRUE(packed.cast(Type::i8).same_as(wide));
  EXPECT_EQ(Array::of<uint8_t>({3}, {15, 0, 9}).cast(Type::u4).to_integers(), (std::vector<int64_t>{15, 0, 9}));
  EXPECT_EQ(packed.to_floats(), (std::vector<float>{1, -8, 7, -1, 5}));
}

// Values every pair of numeric types can hold survive both ways.
TEST(Cast, EveryPairOfTypes) {
  const Type types[] = {Type::f32, Type::f64, Type::f16, Type::bf16, Type::i8, Type::u8, Type::i16, Type::u16,
                        Type::i32, Type::u32, Type::i64, Type::u64, Type::i4, Type::u4, Type::f8e4m3fn, Type::f8e5m2fnuz};
  const Array small = Array::of<int64_t>({2, 3}, {0, 1, 2, 3, 6, 7});
  for (Type from : types)
    for (Type to : types) {
      const Array cast = small.cast(from).cast(to);
      EXPECT_EQ(cast.type(), to);
      EXPECT_EQ(cast.to_integers(), small.to_integers()) << type_text(from) << " to " << type_text(to);
    }
}

TEST(Cast, EdgesAsTheFieldsRuntimesDoThem) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Array::of<float>({4}, {1.9f, -1.9f, 0.5f, -0.5f}).cast(Type::i32).to_integers(), (std::vector<int64_t>{1, -1, 0, 0}));
  EXPECT_EQ(Array::of<int64_t>({3}, {300, -129, 128}).cast(Type::i8).to_integers(), (std::vector<int64_t>{44, 127, -128}));
  EXPECT_EQ(Array::of<float>({4}, {0.f, -0.f, 0.1f, NAN}).cast(Type::boolean).to_integers(), (std::vector<int64_t>{0, 0, 1, 1}));
  EXPECT_EQ(Array::of<float>({3}, {inf, -inf, NAN}).cast(Type::i64).to_integers(),
            (std::vector<int64_t>{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min(), 0}));
  EXPECT_EQ(Array::of<uint64_t>({1}, {~uint64_t(0)}).cast(Type::f64).values<double>()[0], 0x1p64);
  EXPECT_EQ(Array::of<double>({1}, {1e19}).cast(Type::u64).values<uint64_t>()[0], uint64_t(10000000000000000000u));
  EXPECT_EQ(Array::of<double>({1}, {1e300}).cast(Type::f32).values<float>()[0], inf);
  EXPECT_EQ(Array::of<float>({1}, {1e30f}).cast(Type::f16).cast(Type::f32).values<float>()[0], inf);
  EXPECT_THROW(Array(Type::string, {1}).cast(Type::f32), Error);
  EXPECT_THROW(Array(Type::f32, {1}).cast(Type::c64), Error);
}

// 1 + 2^-11 + 2^-40 lies above the tie between two halves; rounding to f32 first would lose that.
TEST(Cast, DoubleToHalfRoundsOnce) {
  EXPECT_EQ(Array::of<double>({1}, {1 + 0x1p-11 + 0x1p-40}).cast(Type::f16).values<Half>()[0].bits, 0x3c01);
  EXPECT_EQ(Array::of<double>({1}, {1 + 0x1p-8 + 0x1p-40}).cast(Type::bf16).values<BFloat16>()[0].bits, 0x3f81);
}

}  // namespace
}  // namespace pare
