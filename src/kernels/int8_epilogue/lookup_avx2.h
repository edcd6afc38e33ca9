#pragma once
// Tables of 256 bytes applied to 32 bytes at once; only for *_avx2.cpp files, hence in an unnamed namespace.

#include <immintrin.h>

#include <cstdint>

namespace pare {
namespace {

// y[i] = table[x[i]], by 16 lookups in 16 entries each: exclusive or takes the high half of bytes that belong to a lookup to 0, the
// saturating sum sets the highest bit of all others, for which vpshufb gives 0. A function of its own: it wants registers that callers
// have filled with sums.
__attribute__((noinline)) __m256i looked_up(const std::uint8_t* table, __m256i x) {
  const __m256i others = _mm256_set1_epi8(0x70);
  __m256i y = _mm256_setzero_si256();
#pragma GCC unroll 16
  for (int high = 0; high < 16; ++high) {
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * high)));
    const __m256i index = _mm256_adds_epu8(_mm256_xor_si256(x, _mm256_set1_epi8(static_cast<char>(16 * high))), others);
    y = _mm256_or_si256(y, _mm256_shuffle_epi8(entries, index));
  }
  return y;
}

}  // namespace
}  // namespace pare
