// ggml's types of 32 elements with one scale: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL. Byte j of the low nibbles holds
// elements j and j + 16.
#include "codecs/block_rows.h"

namespace pare {
namespace {

constexpr int kHalf = 16;

void low_nibbles(const uint8_t* bytes, int8_t* level) {
  for (int j = 0; j < kHalf; ++j) {
    level[j] = int8_t(bytes[j] & 15);
    level[j + kHalf] = int8_t(bytes[j] >> 4);
  }
}

void put_low_nibbles(const Block& block, int least, uint8_t* bytes) {
  for (int j = 0; j < kHalf; ++j) bytes[j] = uint8_t(((block.level[j] - least) & 15) | ((block.level[j + kHalf] - least) & 15) << 4);
}

// The fifth bit of element i is bit i of four bytes.
void fifth_bits(const uint8_t* bytes, int8_t* level) {
  for (int i = 0; i < 2 * kHalf; ++i) level[i] = int8_t(level[i] | (bytes[i / 8] >> i % 8 & 1) << 4);
}

void put_fifth_bits(const Block& block, int least, uint8_t* bytes) {
  uint32_t bits = 0;
  for (int i = 0; i < 2 * kHalf; ++i) bits |= uint32_t((block.level[i] - least) >> 4 & 1) << i;
  for (int b = 0; b < 4; ++b) bytes[b] = uint8_t(bits >> 8 * b);
}

void start(Block& block, float d, float shift) {
  block.d = d;
  block.shift = shift;
  block.scale[0] = block.offset[0] = 1;
}

void lower_all(Block& block, int by) {
  for (int i = 0; i < 2 * kHalf; ++i) block.level[i] = int8_t(block.level[i] - by);
}

void unpack_q4_0(const uint8_t* bytes, Block& block) {
  start(block, half_at(bytes), 0);
  low_nibbles(bytes + 2, block.level);
  lower_all(block, 8);
}

void pack_q4_0(const Block& block, uint8_t* bytes) {
  put_half(bytes, block.d);
  put_low_nibbles(block, -8, bytes + 2);
}

// The minimum is added in the file and taken away here.
void unpack_q4_1(const uint8_t* bytes, Block& block) {
  start(block, half_at(bytes), -half_at(bytes + 2));
  low_nibbles(bytes + 4, block.level);
}

void pack_q4_1(const Block& block, uint8_t* bytes) {
  put_half(bytes, block.d);
  put_half(bytes + 2, -block.shift);
  put_low_nibbles(block, 0, bytes + 4);
}

void unpack_q5_0(const uint8_t* bytes, Block& block) {
  start(block, half_at(bytes), 0);
  low_nibbles(bytes + 6, block.level);
  fifth_bits(bytes + 2, block.level);
  lower_all(block, 16);
}

void pack_q5_0(const Block& block, uint8_t* bytes) {
  put_half(bytes, block.d);
  put_fifth_bits(block, -16, bytes + 2);
  put_low_nibbles(block, -16, bytes + 6);
}

void unpack_q5_1(const uint8_t* bytes, Block& block) {
  start(block, half_at(bytes), -half_at(bytes + 2));
  low_nibbles(bytes + 8, block.level);
  fifth_bits(bytes + 4, block.level);
}

void pack_q5_1(const Block& block, uint8_t* bytes) {
  put_half(bytes, block.d);
  put_half(bytes + 2, -block.shift);
  put_fifth_bits(block, 0, bytes + 4);
  put_low_nibbles(block, 0, bytes + 8);
}

void unpack_q8_0(const uint8_t* bytes, Block& block) {
  start(block, half_at(bytes), 0);
  std::memcpy(block.level, bytes + 2, 32);
}

void pack_q8_0(const Block& block, uint8_t* bytes) {
  put_half(bytes, block.d);
  std::memcpy(bytes + 2, block.level, 32);
}

// Denser around zero than evenly spaced levels.
constexpr int8_t kUneven[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

void unpack_iq4_nl(const uint8_t* bytes, Block& block) {
  start(block, half_at(bytes), 0);
  low_nibbles(bytes + 2, block.level);
  for (int i = 0; i < 2 * kHalf; ++i) block.level[i] = kUneven[block.level[i]];
}

int index_of(int8_t level) {
  int index = 0;
  while (index < 15 && kUneven[index] < level) ++index;
  return index;
}

void pack_iq4_nl(const Block& block, uint8_t* bytes) {
  put_half(bytes, block.d);
  for (int j = 0; j < kHalf; ++j) bytes[2 + j] = uint8_t(index_of(block.level[j]) | index_of(block.level[j + kHalf]) << 4);
}

}  // namespace

// Rows: codec, what it is, a block's layout; then BlockFormat: ggml's name and number, elements, bytes, part, levels, table, scales, offsets.
BLOCK_CODEC(q4_0, "ggml's 4-bit blocks of 32, one scale", "d [float16] | 32 x 4 bits, value = d (q - 8)", "Q4_0", 2, 32, 18, 32, -8, 7, nullptr, 1, 1, 0, unpack_q4_0, pack_q4_0)
BLOCK_CODEC(q4_1, "ggml's 4-bit blocks of 32, scale and minimum", "d, m [float16] | 32 x 4 bits, value = d q + m", "Q4_1", 3, 32, 20, 32, 0, 15, nullptr, 1, 1, 1, unpack_q4_1, pack_q4_1)
BLOCK_CODEC(q5_0, "ggml's 5-bit blocks of 32, one scale", "d [float16] | 32 fifth bits | 32 x 4 bits, value = d (q - 16)", "Q5_0", 6, 32, 22, 32, -16, 15, nullptr, 1, 1, 0, unpack_q5_0, pack_q5_0)
BLOCK_CODEC(q5_1, "ggml's 5-bit blocks of 32, scale and minimum", "d, m [float16] | 32 fifth bits | 32 x 4 bits, value = d q + m", "Q5_1", 7, 32, 24, 32, 0, 31, nullptr, 1, 1, 1, unpack_q5_1, pack_q5_1)
BLOCK_CODEC(q8_0, "ggml's 8-bit blocks of 32, one scale", "d [float16] | 32 x int8, value = d q", "Q8_0", 8, 32, 34, 32, -127, 127, nullptr, 1, 1, 0, unpack_q8_0, pack_q8_0)
BLOCK_CODEC(iq4_nl, "ggml's 4-bit blocks of 32, levels denser around zero", "d [float16] | 32 x 4 bits, value = d level[q]", "IQ4_NL", 20, 32, 18, 32, -127, 113, kUneven, 1, 1, 0, unpack_iq4_nl, pack_iq4_nl)

}  // namespace pare
