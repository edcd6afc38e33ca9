#pragma once
// The epilogue for sums in 256-bit vectors; only for *_avx2.cpp files, hence in an unnamed namespace.

#include <immintrin.h>

#include <algorithm>
#include <cmath>

#include "kernels/int8_epilogue/int8_epilogue_base.h"
#include "kernels/int8_epilogue/lookup_avx2.h"

namespace pare {
namespace {

// Eight floats, for activation.h.
struct Float8 {
  using F = __m256;
  static F set(float x) { return _mm256_set1_ps(x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F power_of_two(F shifted) {
    const __m256i bits = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
  }
};

struct Int8Epilogue256 {
  const Int8Epilogue& e;
  std::uint8_t* output;
  __m256 mid_lo, mid_hi, mid_scale, residual_scale, lo, hi;
  __m256i residual_zero;
  __m256i zero16, lo8, hi8, flip8;  // s8 outputs are made as u8 plus 128 and flipped at the end

  Int8Epilogue256(const Int8Epilogue& epilogue, void* to)
      : e(epilogue),
        output(static_cast<std::uint8_t*>(to)),
        mid_lo(_mm256_set1_ps(static_cast<float>(e.mid_lo - e.mid_zero))),
        mid_hi(_mm256_set1_ps(static_cast<float>(e.mid_hi - e.mid_zero))),
        mid_scale(_mm256_set1_ps(e.mid_scale)),
        residual_scale(_mm256_set1_ps(e.residual_scale)),
        lo(_mm256_set1_ps(e.type == Int8Output::f32 ? e.float_lo : static_cast<float>(e.out_lo - e.out_zero))),
        hi(_mm256_set1_ps(e.type == Int8Output::f32 ? e.float_hi : static_cast<float>(e.out_hi - e.out_zero))),
        residual_zero(_mm256_set1_epi32(e.residual_zero)) {
    const int shift = e.type == Int8Output::s8 ? 128 : 0;
    zero16 = _mm256_set1_epi16(static_cast<short>(e.out_zero + shift));
    lo8 = _mm256_set1_epi8(static_cast<char>(e.out_lo + shift));
    hi8 = _mm256_set1_epi8(static_cast<char>(e.out_hi + shift));
    flip8 = _mm256_set1_epi8(static_cast<char>(shift));
  }

  // No value before the output's limits can leave the range of int32.
  bool bounded(int channels) const {
    __m256 most = _mm256_setzero_ps();
    int c = 0;
    for (; c + 8 <= channels; c += 8) most = _mm256_max_ps(most, Float8::abs(_mm256_loadu_ps(e.multiplier + c)));
    alignas(32) float parts[8];
    _mm256_store_ps(parts, most);
    for (; c < channels; ++c) parts[0] = std::max(parts[0], std::fabs(e.multiplier[c]));
    return bounded_int8_values(e, *std::max_element(parts, parts + 8));
  }

  static __m256 multiplied(__m256i sums, const float* multiplier) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_loadu_ps(multiplier));
  }

  // 8 outputs from `index`, before limits and rounding, of sums that are multiplied already.
  __m256 finished(__m256 v, std::size_t index) const {
    v = after(e.first, v);
    if (e.has_mid) v = after_mid(v);
    if (e.residual) v = _mm256_add_ps(v, residual_term(index));
    return after(e.last, v);
  }

  // `channels` (8, or fewer at the end of a pixel) outputs from `index`; sums have 8 values, multiplier as many as channels.
  void store(std::size_t index, __m256i sums, const float* multiplier, int channels) const {
    if (channels < 8 && e.residual) {  // which is not to be read beyond its end
      alignas(32) std::int32_t values[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(values), sums);
      for (int c = 0; c < channels; ++c) store_int8_sum(e, output, index + c, values[c], multiplier[c]);
      return;
    }
    const __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(channels), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256 v = limited(finished(_mm256_mul_ps(_mm256_cvtepi32_ps(sums), _mm256_maskload_ps(multiplier, kept)), index));
    if (e.type == Int8Output::f32) {
      _mm256_maskstore_ps(reinterpret_cast<float*>(output) + index, kept, v);
      return;
    }
    const __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(e.out_zero));
    // The low bytes: values are within the type, so u8 and s8 are the same.
    const __m256i low = _mm256_shuffle_epi8(q, _mm256_set1_epi32(0x0c080400));
    const std::uint32_t halves[] = {static_cast<std::uint32_t>(_mm256_extract_epi32(low, 0)),
                                    static_cast<std::uint32_t>(_mm256_extract_epi32(low, 4))};
    std::uint8_t* to = output + index;
    if (channels == 8)
      __builtin_memcpy(to, halves, 8);
    else
      __builtin_memcpy(to, halves, std::size_t(channels));
    for (int c = 0; c < channels && e.table; ++c) to[c] = e.table[to[c]];
  }

  __m256 after_mid(__m256 v) const {
    v = _mm256_min_ps(_mm256_max_ps(v, mid_lo), mid_hi);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtps_epi32(v)), mid_scale);
  }

  // Of 8 elements from `index`.
  __m256 residual_term(std::size_t index) const {
    return residual_value(
        _mm_loadl_epi64(reinterpret_cast<const __m128i*>(static_cast<const std::uint8_t*>(e.residual) + index)));
  }

  // float(residual - zero) * scale of the low 8 bytes.
  __m256 residual_value(__m128i bytes) const {
    const __m256i r = e.residual_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(r, residual_zero)), residual_scale);
  }

  // Four vectors to bytes; each 128-bit lane gets 4 bytes of every vector. Only if bounded: limits are applied to
  // saturated 16- and 8-bit integers, which costs less than limiting each vector and gives the same.
  __m256i packed(const __m256 (&v)[4]) const {
    const __m256i a = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
    const __m256i b = _mm256_packs_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
    const __m256i bytes = _mm256_packus_epi16(_mm256_adds_epi16(a, zero16), _mm256_adds_epi16(b, zero16));
    const __m256i y = _mm256_xor_si256(_mm256_min_epu8(_mm256_max_epu8(bytes, lo8), hi8), flip8);
    return __builtin_expect(e.table != nullptr, 0) ? looked_up(e.table, y) : y;
  }

  // The same as 4 x 8 bytes in the order of the vectors.
  __m256i quantized(const __m256 (&v)[4]) const {
    return _mm256_permutevar8x32_epi32(packed(v), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }

  __m256 limited(__m256 v) const { return _mm256_min_ps(_mm256_max_ps(v, lo), hi); }

  static __m256 after(const Int8Activation& a, __m256 v) {
    return a.kind == Int8Activation::none ? v : _mm256_mul_ps(activated<Float8>(a, v), _mm256_set1_ps(a.scale));
  }
};

}  // namespace
}  // namespace pare
