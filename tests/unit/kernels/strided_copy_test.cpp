#include "kernels/strided_copy/strided_copy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"

namespace pare {
namespace {

// Every element by its definition.
template <class T>
std::vector<T> by_definition(const StridedCopy& copy, const std::vector<T>& from, size_t size) {
  std::vector<T> to(size, T(99));
  int64_t count = 1;
  for (const auto& axis : copy.axes) count *= axis.extent;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, a = copy.from_offset, b = copy.to_offset;
    for (const auto& axis : copy.axes) {
      a += rest % axis.extent * axis.from;
      b += rest % axis.extent * axis.to;
      rest /= axis.extent;
    }
    to[size_t(b)] = from[size_t(a)];
  }
  return to;
}

template <class T>
void check_random(uint64_t seed) {
  Random random(seed);
  const size_t rank = 1 + random.below(5);
  StridedCopy copy;
  copy.element_bytes = sizeof(T);
  int64_t from_stride = 1 + int64_t(random.below(2)), to_stride = 1;
  for (size_t i = 0; i < rank; ++i) {
    const int64_t extent = 1 + int64_t(random.below(i == 0 ? 40 : 5));
    const bool repeats = random.below(5) == 0, backwards = random.below(6) == 0;
    copy.axes.push_back({extent, repeats ? 0 : backwards ? -from_stride : from_stride, 0});
    if (backwards && !repeats) copy.from_offset += from_stride * (extent - 1);
    from_stride *= extent + int64_t(random.below(2));
  }
  std::vector<size_t> order(rank);
  for (size_t i = 0; i < rank; ++i) order[i] = i;
  shuffle(std::span(order), random);
  for (size_t i : order) {
    copy.axes[i].to = to_stride;
    to_stride *= copy.axes[i].extent + int64_t(random.below(2));
  }
  std::vector<T> from(size_t(from_stride) + 8), to(size_t(to_stride) + 8, T(99));
  for (size_t i = 0; i < from.size(); ++i) from[i] = T(i * 7 + 1);
  const auto expected = by_definition(copy, from, to.size());
  const StridedCopy ready = arranged(copy);
  for (int thread = 0; thread < 3; ++thread)
    run_strided_copy(ready, reinterpret_cast<const std::byte*>(from.data()), reinterpret_cast<std::byte*>(to.data()), thread, 3);
  ASSERT_EQ(std::memcmp(to.data(), expected.data(), to.size() * sizeof(T)), 0) << "seed " << seed;
}

TEST(StridedCopy, EveryArrangement) {
  for (uint64_t seed = 0; seed < 400; ++seed) {
    ASSERT_NO_FATAL_FAILURE(check_random<uint8_t>(seed));
    ASSERT_NO_FATAL_FAILURE(check_random<uint16_t>(seed));
    ASSERT_NO_FATAL_FAILURE(check_random<uint32_t>(seed));
    ASSERT_NO_FATAL_FAILURE(check_random<uint64_t>(seed));
  }
}

// Blocks of channels into pixels: short lines, two by two, along a long axis that lies near.
template <class T>
void check_lines(int64_t lanes, int64_t width) {
  constexpr int64_t kRows = 3, kBlock = 2;
  const int64_t plane = kRows * width * lanes;
  StridedCopy copy;
  copy.element_bytes = sizeof(T);
  copy.axes = {{kRows, width * lanes, kBlock * kBlock * width * lanes}, {kBlock, kBlock * plane, kBlock * width * lanes}, {width, lanes, kBlock * lanes}, {kBlock, plane, lanes}, {lanes, 1, 1}};
  std::vector<T> from(size_t(plane * kBlock * kBlock)), to(from.size() + 8, T(99));
  for (size_t i = 0; i < from.size(); ++i) from[i] = T(i * 7 + 1);
  const auto expected = by_definition(copy, from, to.size());
  for (int thread = 0; thread < 3; ++thread)
    run_strided_copy(arranged(copy), reinterpret_cast<const std::byte*>(from.data()), reinterpret_cast<std::byte*>(to.data()), thread, 3);
  ASSERT_EQ(std::memcmp(to.data(), expected.data(), to.size() * sizeof(T)), 0) << sizeof(T) << ' ' << lanes << ' ' << width;
}

TEST(StridedCopy, ShortLines) {
  for (const int64_t lanes : {4, 8, 16, 24, 32})
    for (const int64_t width : {3, 16, 21}) {
      ASSERT_NO_FATAL_FAILURE(check_lines<uint8_t>(lanes, width));
      ASSERT_NO_FATAL_FAILURE(check_lines<uint16_t>(lanes, width));
      ASSERT_NO_FATAL_FAILURE(check_lines<uint32_t>(lanes, width));
    }
}

TEST(StridedCopy, NothingToCopy) {
  uint32_t to = 5;
  run_strided_copy(arranged({{{0, 1, 1}, {3, 1, 1}}}), nullptr, reinterpret_cast<std::byte*>(&to), 0, 1);
  EXPECT_EQ(to, 5u);
}

}  // namespace
}  // namespace pare
