#pragma once
// A register of floats, and how it is loaded from narrower memory; compiled once for each instruction set, included by
// those files only.
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // both: false alarms in GCC 12's immintrin.h (GCC bug 105593)
#include <immintrin.h>
#elif defined(__AVX2__)
#include <immintrin.h>
#endif

namespace pare {
namespace {

#if defined(__AVX512F__)
constexpr int kVector = 16;
#elif defined(__AVX__)
constexpr int kVector = 8;
#else
constexpr int kVector = 4;
#endif
// Wherever it lies in memory.
typedef float Floats __attribute__((vector_size(kVector * 4), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(kVector * 4)));
typedef uint16_t Shorts __attribute__((vector_size(kVector * 2), aligned(2), may_alias));
typedef int8_t Bytes __attribute__((vector_size(kVector), aligned(1), may_alias));

// IEEE binary16.
inline Floats floats_of_halves(const uint16_t* from) {
#if defined(__AVX512F__)
  return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
  return (Floats)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
  const Ints bits = __builtin_convertvector(*reinterpret_cast<const Shorts*>(from), Ints);
  // The exponents' biases are 112 apart; a product, unlike a sum of exponents, makes subnormal numbers right too.
  const Ints size = (bits & 0x7fff) << 13, endless = (size >= 0x0f800000) & 0x7f800000;
  const Floats value = (Floats)size * 0x1p112f;
  return (Floats)((Ints)value | endless | (bits & 0x8000) << 16);
#endif
}

// bfloat16. GCC's own widening of vectors takes twenty instructions.
inline Floats floats_of_brains(const uint16_t* from) {
#if defined(__AVX512F__)
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return (Floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
#elif defined(__AVX2__)
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return (Floats)_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16);
#else
  return (Floats)(__builtin_convertvector(*reinterpret_cast<const Shorts*>(from), Ints) << 16);
#endif
}

inline Floats floats_of_bytes(const int8_t* from) {
#if defined(__AVX512F__)
  return (Floats)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
  return (Floats)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#else
  return __builtin_convertvector(*reinterpret_cast<const Bytes*>(from), Floats);
#endif
}

}  // namespace
}  // namespace pare
