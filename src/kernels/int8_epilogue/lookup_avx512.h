#pragma once
// Tables of 256 bytes applied to 64 bytes at once; only for *_avx512.cpp files, hence in an unnamed namespace.

#include <immintrin.h>

#include <cstdint>

namespace pare {
namespace {

const bool kHasVbmi = __builtin_cpu_supports("avx512vbmi");

// y[i] = table[x[i]]. With VBMI two lookups in 128 entries each; vpermi2b is written as assembler, because files that
// include this must also run without VBMI and the compiler may not use it elsewhere.
inline __attribute__((always_inline)) __m512i looked_up(const std::uint8_t* table, __m512i x) {
  if (kHasVbmi) {
    __m512i low = x, high = x;
    __asm__("vpermi2b %2, %1, %0" : "+v"(low) : "v"(_mm512_loadu_si512(table)), "v"(_mm512_loadu_si512(table + 64)));
    __asm__("vpermi2b %2, %1, %0" : "+v"(high) : "v"(_mm512_loadu_si512(table + 128)), "v"(_mm512_loadu_si512(table + 192)));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
  }
  alignas(64) std::uint8_t bytes[64];
  _mm512_store_si512(bytes, x);
#pragma GCC unroll 1
  for (std::uint8_t& byte : bytes) byte = table[byte];
  return _mm512_load_si512(bytes);
}

}  // namespace
}  // namespace pare
