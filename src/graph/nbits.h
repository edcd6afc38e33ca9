#pragma once
// How MatMulNBits of com.microsoft packs integers, and which sizes it has (onnxruntime, docs/ContribOperators.md).
#include <cstdint>

namespace pare {

// K, N, bits and block_size.
inline bool sound_n_bits(int64_t rows, int64_t columns, int64_t bits, int64_t block) {
  constexpr int64_t kMost = int64_t(1) << 31;
  const bool sizes = rows >= 1 && rows < kMost && columns >= 1 && columns < kMost;
  return sizes && block >= 16 && block <= int64_t(1) << 20 && (block & (block - 1)) == 0 && (bits == 2 || bits == 4 || bits == 8);
}

inline int64_t packed_bytes(int64_t count, int64_t bits) { return (count * bits + 7) / 8; }
// Integer i without sign, the first in the low bits.
inline int packed_at(const uint8_t* bytes, int64_t i, int64_t bits) { return bytes[i * bits / 8] >> (i * bits % 8) & ((1 << bits) - 1); }

}  // namespace pare
