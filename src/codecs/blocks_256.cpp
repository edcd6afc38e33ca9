// ggml's types of 256 elements with small scales beneath a float16: Q2_K, Q3_K, Q4_K, Q5_K, Q6_K.
#include "codecs/block_rows.h"

namespace pare {
namespace {

// Two bits of each element: byte l of a half's 32 holds elements l, l + 32, l + 64 and l + 96 of that half.
int pair_at(const uint8_t* bytes, int i) { return bytes[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3; }
void put_pair(uint8_t* bytes, int i, int value) { bytes[i / 128 * 32 + i % 32] = uint8_t(bytes[i / 128 * 32 + i % 32] | (value & 3) << i % 128 / 32 * 2); }

// One bit of each element: bit i / 32 of byte i % 32.
int bit_at(const uint8_t* bytes, int i) { return bytes[i % 32] >> i / 32 & 1; }
void put_bit(uint8_t* bytes, int i, int value) { bytes[i % 32] = uint8_t(bytes[i % 32] | (value & 1) << i / 32); }

// Four bits of each element: byte l of a quarter's 32 holds elements l and l + 32 of that quarter.
int nibble_at(const uint8_t* bytes, int i) { return bytes[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15; }
void put_nibble(uint8_t* bytes, int i, int value) { bytes[i / 64 * 32 + i % 32] = uint8_t(bytes[i / 64 * 32 + i % 32] | (value & 15) << i % 64 / 32 * 4); }

// scales [16] | pairs [64] | d | shift
void unpack_q2_k(const uint8_t* bytes, Block& block) {
  block.d = half_at(bytes + 80);
  block.shift = half_at(bytes + 82);
  for (int p = 0; p < 16; ++p) {
    block.scale[p] = bytes[p] & 15;
    block.offset[p] = bytes[p] >> 4;
  }
  for (int i = 0; i < 256; ++i) block.level[i] = int8_t(pair_at(bytes + 16, i));
}

void pack_q2_k(const Block& block, uint8_t* bytes) {
  std::memset(bytes, 0, 84);
  for (int p = 0; p < 16; ++p) bytes[p] = uint8_t(block.scale[p] | block.offset[p] << 4);
  for (int i = 0; i < 256; ++i) put_pair(bytes + 16, i, block.level[i]);
  put_half(bytes + 80, block.d);
  put_half(bytes + 82, block.shift);
}

// third bits [32] | pairs [64] | scales [12] | d. Scales of 6 bits: the low four as nibbles of eight bytes, the high two in
// the last four bytes.
void unpack_q3_k(const uint8_t* bytes, Block& block) {
  const uint8_t* scales = bytes + 96;
  block.d = half_at(bytes + 108);
  for (int p = 0; p < 16; ++p) block.scale[p] = ((scales[p % 8] >> p / 8 * 4 & 15) | (scales[8 + p % 4] >> p / 4 * 2 & 3) << 4) - 32;
  for (int i = 0; i < 256; ++i) block.level[i] = int8_t(pair_at(bytes + 32, i) + 4 * bit_at(bytes, i) - 4);
}

void pack_q3_k(const Block& block, uint8_t* bytes) {
  std::memset(bytes, 0, 110);
  uint8_t* scales = bytes + 96;
  for (int p = 0; p < 16; ++p) {
    const int scale = block.scale[p] + 32;
    scales[p % 8] = uint8_t(scales[p % 8] | (scale & 15) << p / 8 * 4);
    scales[8 + p % 4] = uint8_t(scales[8 + p % 4] | scale >> 4 << p / 4 * 2);
  }
  for (int i = 0; i < 256; ++i) {
    put_pair(bytes + 32, i, block.level[i] + 4);
    put_bit(bytes, i, (block.level[i] + 4) >> 2);
  }
  put_half(bytes + 108, block.d);
}

// Eight scales and eight offsets of 6 bits in twelve bytes: the first four of each whole, with the high two bits of the last
// four above them; the low four bits of the last four are the nibbles of the last four bytes.
void unpack_twelve(const uint8_t* bytes, Block& block) {
  for (int p = 0; p < 4; ++p) {
    block.scale[p] = bytes[p] & 63;
    block.offset[p] = bytes[p + 4] & 63;
    block.scale[p + 4] = (bytes[p + 8] & 15) | bytes[p] >> 6 << 4;
    block.offset[p + 4] = bytes[p + 8] >> 4 | bytes[p + 4] >> 6 << 4;
  }
}

void pack_twelve(const Block& block, uint8_t* bytes) {
  for (int p = 0; p < 4; ++p) {
    bytes[p] = uint8_t(block.scale[p] | block.scale[p + 4] >> 4 << 6);
    bytes[p + 4] = uint8_t(block.offset[p] | block.offset[p + 4] >> 4 << 6);
    bytes[p + 8] = uint8_t((block.scale[p + 4] & 15) | (block.offset[p + 4] & 15) << 4);
  }
}

// d | shift | scales and offsets [12] | nibbles [128]
void unpack_q4_k(const uint8_t* bytes, Block& block) {
  block.d = half_at(bytes);
  block.shift = half_at(bytes + 2);
  unpack_twelve(bytes + 4, block);
  for (int i = 0; i < 256; ++i) block.level[i] = int8_t(nibble_at(bytes + 16, i));
}

void pack_q4_k(const Block& block, uint8_t* bytes) {
  std::memset(bytes, 0, 144);
  put_half(bytes, block.d);
  put_half(bytes + 2, block.shift);
  pack_twelve(block, bytes + 4);
  for (int i = 0; i < 256; ++i) put_nibble(bytes + 16, i, block.level[i]);
}

// d | shift | scales and offsets [12] | fifth bits [32] | nibbles [128]
void unpack_q5_k(const uint8_t* bytes, Block& block) {
  block.d = half_at(bytes);
  block.shift = half_at(bytes + 2);
  unpack_twelve(bytes + 4, block);
  for (int i = 0; i < 256; ++i) block.level[i] = int8_t(nibble_at(bytes + 48, i) | bit_at(bytes + 16, i) << 4);
}

void pack_q5_k(const Block& block, uint8_t* bytes) {
  std::memset(bytes, 0, 176);
  put_half(bytes, block.d);
  put_half(bytes + 2, block.shift);
  pack_twelve(block, bytes + 4);
  for (int i = 0; i < 256; ++i) {
    put_nibble(bytes + 48, i, block.level[i]);
    put_bit(bytes + 16, i, block.level[i] >> 4);
  }
}

// low nibbles [128]: of a half's 64 bytes, byte l holds elements l and l + 64 | high pairs [64] | scales [16] | d
int q6_byte(int i) { return i / 128 * 64 + i % 64; }

void unpack_q6_k(const uint8_t* bytes, Block& block) {
  block.d = half_at(bytes + 208);
  for (int p = 0; p < 16; ++p) block.scale[p] = int8_t(bytes[192 + p]);
  for (int i = 0; i < 256; ++i) block.level[i] = int8_t(((bytes[q6_byte(i)] >> i % 128 / 64 * 4 & 15) | pair_at(bytes + 128, i) << 4) - 32);
}

void pack_q6_k(const Block& block, uint8_t* bytes) {
  std::memset(bytes, 0, 210);
  for (int i = 0; i < 256; ++i) {
    const int level = block.level[i] + 32;
    bytes[q6_byte(i)] = uint8_t(bytes[q6_byte(i)] | (level & 15) << i % 128 / 64 * 4);
    put_pair(bytes + 128, i, level >> 4);
  }
  for (int p = 0; p < 16; ++p) bytes[192 + p] = uint8_t(block.scale[p]);
  put_half(bytes + 208, block.d);
}

}  // namespace

// Rows: codec, what it is, a block's layout; then BlockFormat: ggml's name and number, elements, bytes, part, levels, table, scales, offsets.
BLOCK_CODEC(q2_k, "ggml's 2-bit blocks of 256, scale and offset a 16", "16 x (4-bit scale, 4-bit offset) | 256 x 2 bits | d, s [float16], value = d scale q - s offset", "Q2_K", 10, 256, 84, 16, 0, 3, nullptr, 0, 15, 15, unpack_q2_k, pack_q2_k)
BLOCK_CODEC(q3_k, "ggml's 3-bit blocks of 256, scale a 16", "256 third bits | 256 x 2 bits | 16 x 6-bit scale | d [float16], value = d (scale - 32) (q - 4)", "Q3_K", 11, 256, 110, 16, -4, 3, nullptr, -32, 31, 0, unpack_q3_k, pack_q3_k)
BLOCK_CODEC(q4_k, "ggml's 4-bit blocks of 256, scale and offset a 32", "d, s [float16] | 8 x (6-bit scale, 6-bit offset) | 256 x 4 bits, value = d scale q - s offset", "Q4_K", 12, 256, 144, 32, 0, 15, nullptr, 0, 63, 63, unpack_q4_k, pack_q4_k)
BLOCK_CODEC(q5_k, "ggml's 5-bit blocks of 256, scale and offset a 32", "d, s [float16] | 8 x (6-bit scale, 6-bit offset) | 256 fifth bits | 256 x 4 bits, value = d scale q - s offset", "Q5_K", 13, 256, 176, 32, 0, 31, nullptr, 0, 63, 63, unpack_q5_k, pack_q5_k)
BLOCK_CODEC(q6_k, "ggml's 6-bit blocks of 256, scale a 16", "256 x 4 low bits | 256 x 2 high bits | 16 x int8 scale | d [float16], value = d scale (q - 32)", "Q6_K", 14, 256, 210, 16, -32, 31, nullptr, -128, 127, 0, unpack_q6_k, pack_q6_k)

}  // namespace pare
