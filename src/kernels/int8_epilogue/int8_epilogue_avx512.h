#pragma once
// The epilogue for sums in 512-bit vectors; only for *_avx512.cpp files. Every definition sits in an unnamed namespace,
// so that no AVX-512 code can be picked for another file.

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/int8_epilogue/int8_epilogue_base.h"
#include "kernels/int8_epilogue/lookup_avx512.h"

namespace pare {
namespace {

// Sixteen floats, for activation.h.
struct Float16 {
  using F = __m512;
  static F set(float x) { return _mm512_set1_ps(x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F power_of_two(F shifted) {
    const __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
  }
};

// Constants of an epilogue, one value a lane.
struct Int8Epilogue512 {
  __m512 mid_lo, mid_hi, mid_scale, residual_scale, lo, hi;
  __m512i residual_zero, out_zero;
  __m512i zero16, lo8, hi8, flip8;  // s8 outputs are made as u8 plus 128 and flipped at the end
  __m128i residual_flip;
  const std::uint8_t* residual;
  bool bounded;  // no value before the output's limits can leave the range of int32
  Int8Activation first, last;
  const std::uint8_t* table;
  bool leaks;      // the last activation is a LeakyRelu that enlarges nothing: cheap enough to be done with the tile's sums
  bool activates;  // there is any other

  Int8Epilogue512(const Int8Epilogue& e, int channels)
      : mid_lo(_mm512_set1_ps(static_cast<float>(e.mid_lo - e.mid_zero))),
        mid_hi(_mm512_set1_ps(static_cast<float>(e.mid_hi - e.mid_zero))),
        mid_scale(_mm512_set1_ps(e.mid_scale)),
        residual_scale(_mm512_set1_ps(e.residual_scale)),
        lo(_mm512_set1_ps(e.type == Int8Output::f32 ? e.float_lo : static_cast<float>(e.out_lo - e.out_zero))),
        hi(_mm512_set1_ps(e.type == Int8Output::f32 ? e.float_hi : static_cast<float>(e.out_hi - e.out_zero))),
        residual_zero(_mm512_set1_epi32(e.residual_zero + (e.residual_signed ? 128 : 0))),
        out_zero(_mm512_set1_epi32(e.out_zero)),
        residual_flip(_mm_set1_epi8(e.residual_signed ? -128 : 0)),
        residual(static_cast<const std::uint8_t*>(e.residual)),
        bounded(is_bounded(e, channels)),
        first(e.first),
        last(e.last),
        table(e.table),
        leaks(e.last.kind == Int8Activation::leaky_relu && e.last.alpha >= 0 && e.last.alpha <= 1 && e.last.scale == 1),
        activates(e.first.kind != Int8Activation::none || (e.last.kind != Int8Activation::none && !leaks)) {
    const int shift = e.type == Int8Output::s8 ? 128 : 0;
    zero16 = _mm512_set1_epi16(static_cast<short>(e.out_zero + shift));
    lo8 = _mm512_set1_epi8(static_cast<char>(e.out_lo + shift));
    hi8 = _mm512_set1_epi8(static_cast<char>(e.out_hi + shift));
    flip8 = _mm512_set1_epi8(static_cast<char>(shift));
  }

  __m512 limited(__m512 v) const { return _mm512_min_ps(_mm512_max_ps(v, lo), hi); }

  static __m512 after(const Int8Activation& a, __m512 v) {
    return a.kind == Int8Activation::none ? v : _mm512_mul_ps(activated<Float16>(a, v), _mm512_set1_ps(a.scale));
  }

  __m512 leaked(__m512 v) const {
    const __m512 zero = _mm512_setzero_ps();
    return _mm512_add_ps(_mm512_max_ps(v, zero), _mm512_mul_ps(_mm512_min_ps(v, zero), _mm512_set1_ps(last.alpha)));
  }

  __m512 after_mid(__m512 v) const {
    v = _mm512_min_ps(_mm512_max_ps(v, mid_lo), mid_hi);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtps_epi32(v)), mid_scale);
  }

  // float(residual - zero) * scale of 16 elements from `index`.
  __m512 residual_term(std::size_t index, __mmask16 mask) const {
    const __m128i bytes = mask == 0xffff ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(residual + index))
                                         : _mm_maskz_loadu_epi8(mask, residual + index);
    return residual_value(bytes);
  }

  __m512 residual_value(__m128i bytes) const {
    const __m512i r = _mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm_xor_si128(bytes, residual_flip)), residual_zero);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(r), residual_scale);
  }

  // The quantized output as 16 bytes; u8 and s8 alike, since the limits are within the type.
  __m128i quantized(__m512 v) const {
    const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(limited(v)), out_zero));
    return table ? _mm512_castsi512_si128(looked_up(table, _mm512_castsi128_si512(bytes))) : bytes;
  }

  // Four vectors to bytes; each 128-bit lane gets 4 bytes of every vector. Only if bounded or limited: limits are
  // applied to saturated 16- and 8-bit integers, which costs less than limiting each vector and gives the same.
  __m512i packed(const __m512 (&v)[4]) const {
    const __m512i a = _mm512_packs_epi32(_mm512_cvtps_epi32(v[0]), _mm512_cvtps_epi32(v[1]));
    const __m512i b = _mm512_packs_epi32(_mm512_cvtps_epi32(v[2]), _mm512_cvtps_epi32(v[3]));
    const __m512i bytes = _mm512_packus_epi16(_mm512_adds_epi16(a, zero16), _mm512_adds_epi16(b, zero16));
    const __m512i y = _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes, lo8), hi8), flip8);
    return table ? looked_up(table, y) : y;
  }

  // The same as 4 x 16 bytes in the order of the vectors.
  __m512i quantized(const __m512 (&v)[4]) const {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, packed(v));
  }

 private:
  static bool is_bounded(const Int8Epilogue& e, int channels) {
    __m512 most = _mm512_setzero_ps();
    for (int c = 0; c < channels; c += 16) {
      const __mmask16 mask = channels - c >= 16 ? 0xffff : static_cast<__mmask16>((1u << (channels - c)) - 1);
      most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, e.multiplier + c)));
    }
    return bounded_int8_values(e, _mm512_reduce_max_ps(most));
  }
};

}  // namespace
}  // namespace pare
