#include "codecs/blocks.h"
#include "codecs/line_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "support/lines.h"
#include "support/places.h"

namespace pare {
namespace {

std::vector<const Codec*> block_codecs() {
  std::vector<const Codec*> all;
  for (const Codec* codec : codecs())
    if (codec->blocks != nullptr) all.push_back(codec);
  return all;
}

class Blocks : public ::testing::TestWithParam<const Codec*> {
 protected:
  const Codec& codec() const { return *GetParam(); }
  const BlockFormat& format() const { return *GetParam()->blocks; }
};
INSTANTIATE_TEST_SUITE_P(Codecs, Blocks, ::testing::ValuesIn(block_codecs()), [](const auto& row) { return std::string(row.param->name); });

std::vector<uint8_t> file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// tools/record_blocks.py: four blocks, then their values by the gguf package.
TEST_P(Blocks, DecodeAsTheGgufPackageDoesBitForBit) {
  const std::vector<uint8_t> golden =
      file_bytes(testing::source_dir() + "/tests/golden/codecs/" + codec().name + ".bin");
  const size_t bytes = 4 * size_t(format().bytes), elements = 4 * size_t(format().elements);
  ASSERT_EQ(golden.size(), bytes + elements * sizeof(float));
  Array stored(Type::u8, {int64_t(bytes)});
  std::memcpy(stored.mutable_bytes(), golden.data(), bytes);
  const Array values = block_tensor(codec(), {4, format().elements}, stored).decode();
  std::vector<float> expected(elements);
  std::memcpy(expected.data(), golden.data() + bytes, elements * sizeof(float));
  for (size_t i = 0; i < elements; ++i) ASSERT_EQ(values.values<float>()[i], expected[i]) << i;
}

TEST_P(Blocks, UnpackedAndPackedAgainTheBytesAreTheSame) {
  const std::vector<uint8_t> golden =
      file_bytes(testing::source_dir() + "/tests/golden/codecs/" + codec().name + ".bin");
  for (int b = 0; b < 4; ++b) {
    Block block;
    format().unpack(golden.data() + b * format().bytes, block);
    std::vector<uint8_t> again(size_t(format().bytes), 0xee);
    format().pack(block, again.data());
    EXPECT_EQ(0, std::memcmp(again.data(), golden.data() + b * format().bytes, again.size()));
  }
}

Array normal_values(int64_t rows, int64_t row, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, 0.05f);
  Array values(Type::f32, {rows, row});
  for (float& v : values.mutable_values<float>()) v = normal(random);
  return values;
}

double squared_error(const Array& a, const Array& b, const std::vector<float>& weights = {}) {
  double error = 0;
  for (size_t i = 0; i < a.values<float>().size(); ++i) {
    const double miss = a.values<float>()[i] - b.values<float>()[i];
    error += miss * miss * (weights.empty() ? 1 : weights[i % weights.size()]);
  }
  return error;
}

// Root mean square error over that of the values: what so many levels can give for normally distributed weights in small
// groups, from both sides. The lower bounds are the rate-distortion limit 2^-bits.
TEST_P(Blocks, TheNearestEncodingIsAsGoodAsItsBitsAllow) {
  const Array values = normal_values(8, 512, 3);
  const double error = std::sqrt(squared_error(values, codec().encode(values, -1, 0).decode()) / squared_error(values, Array(Type::f32, values.dims())));
  const double bits = 8.0 * format().bytes / format().elements;
  EXPECT_LT(error, 1.65 * std::exp2(-(bits - 0.5))) << bits;
  EXPECT_GT(error, std::exp2(-bits));
}

TEST_P(Blocks, WhatWasDecodedIsEncodedAgainAlmostWithoutLoss) {
  const Tensor once = codec().encode(normal_values(4, 512, 5), -1, 0);
  const Array values = once.decode(), again = codec().encode(values, -1, 0).decode();
  EXPECT_LT(squared_error(values, again), 0.05 * squared_error(values, normal_values(4, 512, 5)));
}

TEST_P(Blocks, ImportanceMovesTheErrorToWhatMattersLess) {
  const Array values = normal_values(16, 512, 11);
  std::vector<float> importance(512);
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 7 == 0 ? 30.f : 1.f;
  const Array plain = encode_blocks(codec(), values).decode(), weighted = encode_blocks(codec(), values, importance).decode();
  EXPECT_LT(squared_error(values, weighted, importance), squared_error(values, plain, importance));
  EXPECT_GT(squared_error(values, weighted), squared_error(values, plain));
}

// Rows are taken as they are stored, and 16 side by side: neither changes what becomes of one.
TEST_P(Blocks, RowsAreEncodedAlikeWhereverTheyLie) {
  const Tensor half = codec_float16.encode(normal_values(37, 512, 13), 0, 0);
  const Array decoded = half.decode();
  const Tensor all = encode_blocks(codec(), half);
  EXPECT_TRUE(all.parts[0].same_as(encode_blocks(codec(), decoded).parts[0]));
  const size_t row_bytes = all.parts[0].size_bytes() / 37;
  for (const size_t row : {0, 17, 36}) {
    Array alone(Type::f32, {1, 512});
    std::copy_n(decoded.values<float>().begin() + int64_t(row) * 512, 512, alone.mutable_values<float>().begin());
    EXPECT_EQ(std::memcmp(all.parts[0].bytes() + row * row_bytes, encode_blocks(codec(), alone).parts[0].bytes(), row_bytes), 0) << row;
  }
}

TEST_P(Blocks, ZerosAndConstantsStay) {
  Array values(Type::f32, {2, 256});
  EXPECT_EQ(squared_error(values, codec().encode(values, -1, 0).decode()), 0);
  for (float& v : values.mutable_values<float>()) v = 0.5f;
  EXPECT_LT(squared_error(values, codec().encode(values, -1, 0).decode()), 1e-4 * 512 * 0.25);
}

TEST_P(Blocks, RowsThatBlocksDoNotFillAreRefused) {
  EXPECT_THROW(codec().encode(Array(Type::f32, {2, 40}), -1, 0), Error);
  EXPECT_THROW(block_tensor(codec(), {2, 256}, Array(Type::u8, {3})), Error);
}

// Channels that training has all but emptied: a step whose reciprocal is infinite would turn their zeros into the outermost level.
TEST(LineFit, ZerosStayZerosBesideTheSmallestNumbers) {
  std::vector<float> values(32, 0.f);
  values[31] = 1e-40f;
  const LevelRange range{-8, 7, nullptr, true};
  for (const ScaleSearch search : {ScaleSearch::plain, ScaleSearch::least_squares}) {
    std::vector<int8_t> levels(32, 99);
    round_levels(range, values, testing::fit_one_line(range, values, Shift::none, search).first, 0, levels.data());
    for (int i = 0; i < 31; ++i) EXPECT_EQ(levels[size_t(i)], 0) << i;
  }
}

}  // namespace
}  // namespace pare
