#pragma once
// Reading and writing blocks of 64 channels for depthwise_int8_avx512.cpp, which explains the layout. Everything is in
// an unnamed namespace, so that no AVX-512 code can be picked for another file.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/int8_epilogue/lookup_avx512.h"

namespace pare {
namespace {

constexpr int kBlock = 64;

// Bytes of a piece of a block with so many channels.
int piece_bytes(int channels) {
  return channels <= 16 ? 16 : channels <= 32 ? 32 : 64;
}

// A block's bytes: 1, 2 or 4 pieces from different places; the mask has a piece's valid channels.
struct Pieces {
  int bytes;
  bool full;
  __mmask64 mask;

  explicit Pieces(int channels = kBlock)
      : bytes(piece_bytes(channels)),
        full(channels == bytes),
        mask(channels == kBlock ? ~0ull : (1ull << channels) - 1) {}

  int count() const { return kBlock / bytes; }

  template <int Count>
  __m512i load(const std::uint8_t* const* from, std::ptrdiff_t offset, const std::ptrdiff_t* step) const {
    if constexpr (Count == 1)
      return full ? _mm512_loadu_si512(from[0] + offset * step[0])
                  : _mm512_maskz_loadu_epi8(mask, from[0] + offset * step[0]);
    else if constexpr (Count == 2)
      return _mm512_inserti64x4(_mm512_castsi256_si512(half(from[0] + offset * step[0])),
                                half(from[1] + offset * step[1]), 1);
    else {
      __m512i all = _mm512_castsi128_si512(quarter(from[0] + offset * step[0]));
      all = _mm512_inserti32x4(all, quarter(from[1] + offset * step[1]), 1);
      all = _mm512_inserti32x4(all, quarter(from[2] + offset * step[2]), 2);
      return _mm512_inserti32x4(all, quarter(from[3] + offset * step[3]), 3);
    }
  }

  // Pieces without a destination are dropped.
  template <int Count>
  void store(std::uint8_t* const* to, __m512i all) const {
    if constexpr (Count == 1) {
      if (full)
        _mm512_storeu_si512(to[0], all);
      else
        _mm512_mask_storeu_epi8(to[0], mask, all);
    } else if constexpr (Count == 2) {
      store_half(to[0], _mm512_castsi512_si256(all));
      store_half(to[1], _mm512_extracti64x4_epi64(all, 1));
    } else {
      store_quarter(to[0], _mm512_castsi512_si128(all));
      store_quarter(to[1], _mm512_extracti32x4_epi32(all, 1));
      store_quarter(to[2], _mm512_extracti32x4_epi32(all, 2));
      store_quarter(to[3], _mm512_extracti32x4_epi32(all, 3));
    }
  }

 private:
  __m256i half(const std::uint8_t* x) const {
    return full ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))
                : _mm256_maskz_loadu_epi8(static_cast<__mmask32>(mask), x);
  }
  __m128i quarter(const std::uint8_t* x) const {
    return full ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(x))
                : _mm_maskz_loadu_epi8(static_cast<__mmask16>(mask), x);
  }
  void store_half(std::uint8_t* to, __m256i bytes_of_half) const {
    if (to) _mm256_mask_storeu_epi8(to, static_cast<__mmask32>(mask), bytes_of_half);
  }
  void store_quarter(std::uint8_t* to, __m128i bytes_of_quarter) const {
    if (to) _mm_mask_storeu_epi8(to, static_cast<__mmask16>(mask), bytes_of_quarter);
  }
};

inline __attribute__((always_inline)) void interleave_rows(const __m512i (&x)[4], __m512i flip, __m512i (&t)[4]) {
  const __m512i ab0 = _mm512_unpacklo_epi8(x[0], x[1]), ab1 = _mm512_unpackhi_epi8(x[0], x[1]);
  const __m512i cd0 = _mm512_unpacklo_epi8(x[2], x[3]), cd1 = _mm512_unpackhi_epi8(x[2], x[3]);
  t[0] = _mm512_xor_si512(_mm512_unpacklo_epi16(ab0, cd0), flip);
  t[1] = _mm512_xor_si512(_mm512_unpackhi_epi16(ab0, cd0), flip);
  t[2] = _mm512_xor_si512(_mm512_unpacklo_epi16(ab1, cd1), flip);
  t[3] = _mm512_xor_si512(_mm512_unpackhi_epi16(ab1, cd1), flip);
}

// Four input rows of every piece.
struct Rows {
  const std::uint8_t* row[4][4];  // [row][piece]
  std::ptrdiff_t step[4][4];      // bytes between columns; 0 outside the image, where row is the border
  int in_w;
  Pieces pieces;
  __m512i flip, border;

  // Column `col` as four vectors of 16 channels x 4 rows.
  template <int Count>
  void interleave(int col, __m512i (&t)[4]) const {
    if (col < 0 || col >= in_w) {
      t[0] = t[1] = t[2] = t[3] = border;
      return;
    }
    __m512i x[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) x[r] = pieces.load<Count>(row[r], col, step[r]);
    interleave_rows(x, flip, t);
  }
};

// The columns of some rows, one after the other.
template <int Count>
struct Columns {
  const std::uint8_t* at[4][Count];
  const Rows& rows;
  int col;

  Columns(const Rows& from, int first) : rows(from), col(first) {
    for (int r = 0; r < 4; ++r) {
      for (int piece = 0; piece < Count; ++piece) at[r][piece] = rows.row[r][piece];
    }
  }

  __attribute__((always_inline)) void next(__m512i (&t)[4]) {
    static constexpr std::ptrdiff_t kNoStep[4] = {};
    if (static_cast<unsigned>(col++) >= static_cast<unsigned>(rows.in_w)) {
      t[0] = t[1] = t[2] = t[3] = rows.border;
      return;
    }
    __m512i x[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      x[r] = rows.pieces.load<Count>(at[r], 0, kNoStep);
#pragma GCC unroll 4
      for (int piece = 0; piece < Count; ++piece) at[r][piece] += rows.step[r][piece];
    }
    interleave_rows(x, rows.flip, t);
  }
};

// One output row of every piece: the next output pixel's index, or none.
struct OutRow {
  std::ptrdiff_t index[4];
};

// Pixels of a 3x3 kernel and the common epilogue, its constants as values.
template <int Count>
struct PlainPixels {
  const std::uint8_t* weights;
  __m512i bias[4];
  __m512 multiplier[4];
  __m512i zero16, lo8, hi8, flip8;
  const std::uint8_t* table;

  // Sums of output row r (of a pair) from three interleaved columns.
  __attribute__((always_inline)) void sum(int r, const __m512i (&x)[4], const __m512i (&y)[4], const __m512i (&z)[4],
                                          __m512i (&sums)[4]) const {
    const std::uint8_t* w = weights + r * 12 * 64;
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m512i first = _mm512_dpbusd_epi32(bias[j], x[j], _mm512_load_si512(w + j * 64));
      const __m512i second = _mm512_dpbusd_epi32(first, y[j], _mm512_load_si512(w + (4 + j) * 64));
      sums[j] = _mm512_dpbusd_epi32(second, z[j], _mm512_load_si512(w + (8 + j) * 64));
    }
  }

  // As Int8Epilogue512::packed.
  __attribute__((always_inline)) __m512i bytes(const __m512i (&sums)[4]) const {
    __m512i q[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) q[j] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[j]), multiplier[j]));
    const __m512i a = _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), zero16);
    const __m512i b = _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), zero16);
    const __m512i y = _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(a, b), lo8), hi8), flip8);
    return table ? looked_up(table, y) : y;
  }
};

// The next output pixel of every piece, null if it has none.
template <int Count>
struct PlainTargets {
  std::uint8_t* to[Count];

  PlainTargets() = default;
  PlainTargets(std::uint8_t* output, const OutRow& out) {
    for (int piece = 0; piece < Count; ++piece) to[piece] = out.index[piece] >= 0 ? output + out.index[piece] : nullptr;
  }
  void move(std::size_t elements) {
#pragma GCC unroll 4
    for (int piece = 0; piece < Count; ++piece) to[piece] += Count == 1 || to[piece] ? elements : 0;
  }
};

}  // namespace
}  // namespace pare
