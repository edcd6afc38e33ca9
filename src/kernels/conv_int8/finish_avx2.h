#pragma once
// What integer convolutions do with a tile's sums: the epilogue and the store. Only for *_avx2.cpp files, hence in an
// unnamed namespace.

#include "kernels/conv_int8/driver.h"
#include "kernels/int8_epilogue/int8_epilogue_avx2.h"

namespace pare {
namespace {

// Bytes of whole vectors without activations or a table, four vectors at a time; anything else goes through
// Int8Epilogue256.
class Finish256 {
 public:
  Finish256(const Int8Epilogue& epilogue, void* output) : e_(epilogue), any_{epilogue, output} {
    const bool activates = e_.first.kind != Int8Activation::none || e_.last.kind != Int8Activation::none;
    bytes_ = e_.type != Int8Output::f32 && !activates && !e_.table;
  }

  // sums: [pixel][vector][8], 32-byte aligned.
  void run(const std::int32_t* sums, const ConvTileOutput& out) const {
    if (!bytes_ || out.channels < out.vectors * 8)
      write_any(sums, out);
    else if (e_.residual)
      e_.has_mid ? write_bytes<true, true>(sums, out) : write_bytes<false, true>(sums, out);
    else
      e_.has_mid ? write_bytes<true, false>(sums, out) : write_bytes<false, false>(sums, out);
  }

 private:
  void write_any(const std::int32_t* sums, const ConvTileOutput& out) const {
    for (int p = 0; p < out.pixels; ++p) {
      const std::size_t index = (out.pixel + p) * out.pitch + out.channel;
      for (int v = 0; v < out.vectors; ++v, sums += 8) {
        any_.store(index + v * 8, _mm256_load_si256(reinterpret_cast<const __m256i*>(sums)), out.multiplier + v * 8,
                   std::min(8, out.channels - v * 8));
      }
    }
  }

  template <bool Mid, bool Residual>
  void write_bytes(const std::int32_t* sums, const ConvTileOutput& out) const {
    const std::size_t first = out.pixel * out.pitch + out.channel;
    const int count = out.pixels * out.vectors;
    const int per_pixel = out.vectors;
    for (int done = 0; done < count; done += 4) {
      std::size_t index[4];
      __m256i q[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int at = std::min(done + i, count - 1);  // the last one again, where fewer than four are left
        const int pixel = per_pixel == 2 ? at >> 1 : at / per_pixel, vector = at - pixel * per_pixel;
        index[i] = first + pixel * std::size_t(out.pitch) + vector * 8;
        q[i] = rounded<Mid, Residual>(_mm256_load_si256(reinterpret_cast<const __m256i*>(sums + at * 8)),
                                      _mm256_loadu_ps(out.multiplier + vector * 8), index[i]);
      }
      store(packed(q), index, std::min(4, count - done));
    }
  }

  template <bool Mid, bool Residual>
  __m256i rounded(__m256i sums, __m256 multiplier, std::size_t index) const {
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), multiplier);
    if constexpr (Mid) v = any_.after_mid(v);
    if constexpr (Residual) v = _mm256_add_ps(v, any_.residual_term(index));
    return any_.rounded(v);
  }

  // The low bytes of 4 x 8 values, in order.
  __m256i packed(const __m256i (&q)[4]) const {
    const __m256i zero = _mm256_set1_epi16(static_cast<short>(e_.out_zero)), byte = _mm256_set1_epi16(0xff);
    const auto low = [&](__m256i a, __m256i b) {
      return _mm256_and_si256(_mm256_add_epi16(_mm256_packs_epi32(a, b), zero), byte);
    };
    const __m256i mixed = _mm256_packus_epi16(low(q[0], q[1]), low(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }

  void store(__m256i bytes, const std::size_t (&index)[4], int count) const {
    const std::uint64_t words[4] = {static_cast<std::uint64_t>(_mm256_extract_epi64(bytes, 0)),
                                    static_cast<std::uint64_t>(_mm256_extract_epi64(bytes, 1)),
                                    static_cast<std::uint64_t>(_mm256_extract_epi64(bytes, 2)),
                                    static_cast<std::uint64_t>(_mm256_extract_epi64(bytes, 3))};
    for (int i = 0; i < count; ++i) std::memcpy(static_cast<std::uint8_t*>(any_.output) + index[i], &words[i], 8);
  }

  const Int8Epilogue& e_;
  Int8Epilogue256 any_;
  bool bytes_;
};

}  // namespace
}  // namespace pare
