#pragma once
// What integer convolutions do with a tile's sums: the epilogue and the store. Only for *_avx512*.cpp files, hence in an
// unnamed namespace.

#include "kernels/conv_int8/driver.h"
#include "kernels/int8_epilogue/int8_epilogue_avx512.h"

namespace pare {
namespace {

constexpr int kFinishLanes = 16;

inline __mmask16 valid_lanes(int channels) {
  return channels >= kFinishLanes ? 0xffff : channels <= 0 ? 0 : static_cast<__mmask16>((1u << channels) - 1);
}

// What a tile needs to write its output itself.
struct Finish {
  Int8Epilogue512 e;
  std::uint8_t* output;
  bool mid, residual, real;
  bool fused;  // else sums go to memory

  Finish(const ConvInt8Args& args, int channels)
      : e(args.epilogue, channels),
        output(static_cast<std::uint8_t*>(args.output)),
        mid(args.epilogue.has_mid),
        residual(args.epilogue.residual != nullptr),
        real(args.epilogue.type == Int8Output::f32),
        fused(!real && e.bounded && !e.activates) {}
};

// One block of channels of some pixels, `step` bytes apart.
struct Destination {
  const Finish& finish;
  const ConvTileOutput& out;
  bool full, dense;
  __mmask64 mask;
  std::size_t index;  // of the next pixel's first channel

  Destination(const Finish& f, const ConvTileOutput& o, int channels)
      : finish(f),
        out(o),
        full(o.channels == channels),
        dense(full && o.pitch == channels),
        mask(o.channels >= 64 ? ~0ull : (1ull << o.channels) - 1),
        index(o.pixel * o.pitch + o.channel) {}

  // Bytes of Pixels pixels, Vectors x 16 bytes each.
  template <int Pixels, int Vectors>
  void store(__m512i bytes) const {
    std::uint8_t* to = finish.output + index;
    constexpr int kBytes = Pixels * Vectors * kFinishLanes;
    if (Vectors == 3 && full) {
      // A masked store costs more than two plain ones.
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(bytes));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 32), _mm512_extracti32x4_epi32(bytes, 2));
    } else if (dense || (full && Pixels == 1)) {
      if constexpr (kBytes == 64)
        _mm512_storeu_si512(to, bytes);
      else
        _mm512_mask_storeu_epi8(to, (1ull << kBytes) - 1, bytes);
    } else if constexpr (Pixels == 1) {
      _mm512_mask_storeu_epi8(to, mask, bytes);
    } else if constexpr (Vectors == 2) {
      store_half(to, _mm512_castsi512_si256(bytes));
      store_half(to + out.pitch, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
      store_quarter(to, _mm512_castsi512_si128(bytes));
      store_quarter(to + out.pitch, _mm512_extracti32x4_epi32(bytes, 1));
      if constexpr (Pixels > 2) store_quarter(to + 2 * std::size_t(out.pitch), _mm512_extracti32x4_epi32(bytes, 2));
      if constexpr (Pixels > 3) store_quarter(to + 3 * std::size_t(out.pitch), _mm512_extracti32x4_epi32(bytes, 3));
    }
  }

 private:
  void store_half(std::uint8_t* to, __m256i bytes) const {
    if (full)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    else
      _mm256_mask_storeu_epi8(to, static_cast<__mmask32>(mask), bytes);
  }
  void store_quarter(std::uint8_t* to, __m128i bytes) const {
    if (full)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    else
      _mm_mask_storeu_epi8(to, static_cast<__mmask16>(mask), bytes);
  }
};

// The epilogue and store of pixels [First, First + Count) of a tile: up to four vectors.
template <int First, int Count, int Pixels, int Vectors>
inline __attribute__((always_inline)) void finish_pixels(const __m512i (&sums)[Pixels][Vectors],
                                                         const __m512 (&multipliers)[Vectors], Destination& to) {
  const Int8Epilogue512& e = to.finish.e;
  __m512 v[4];
#pragma GCC unroll 4
  for (int i = 0; i < Count * Vectors; ++i) {
    v[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[First + i / Vectors][i % Vectors]), multipliers[i % Vectors]);
  }
  if (to.finish.mid) {
#pragma GCC unroll 4
    for (int i = 0; i < Count * Vectors; ++i) v[i] = e.after_mid(v[i]);
  }
  if (to.finish.residual) {
#pragma GCC unroll 4
    for (int i = 0; i < Count * Vectors; ++i) {
      const std::size_t index = to.index + (i / Vectors) * std::size_t(to.out.pitch) + i % Vectors * kFinishLanes;
      v[i] = _mm512_add_ps(
          v[i], e.residual_term(index, to.full ? 0xffff : valid_lanes(to.out.channels - i % Vectors * kFinishLanes)));
    }
  }
  if (e.leaks) {
#pragma GCC unroll 4
    for (int i = 0; i < Count * Vectors; ++i) v[i] = e.leaked(v[i]);
  }
#pragma GCC unroll 4
  for (int i = Count * Vectors; i < 4; ++i) v[i] = v[0];
  to.store<Count, Vectors>(e.quantized(v));
  to.index += Count * std::size_t(to.out.pitch);
}

template <class Function>
inline void write_bytes(const Finish& finish, const std::int32_t* sums, const ConvTileOutput& out, Function function) {
  const Int8Epilogue512 e = finish.e;
  for (int v = 0; v < out.vectors; ++v) {
    const __mmask16 mask = valid_lanes(out.channels - v * kFinishLanes);
    const __m512 multiplier = _mm512_load_ps(out.multiplier + v * kFinishLanes);
    std::uint8_t* to = finish.output + out.pixel * out.pitch + out.channel + v * kFinishLanes;
    const std::int32_t* from = sums + v * kFinishLanes;
    for (int p = 0; p < out.pixels; ++p, to += out.pitch, from += out.vectors * kFinishLanes)
      _mm_mask_storeu_epi8(to, mask, e.quantized(function(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(from)), multiplier))));
  }
}

inline void write_any(const Finish& finish, const std::int32_t* sums, const ConvTileOutput& out) {
  const Int8Epilogue512& e = finish.e;
  for (int p = 0; p < out.pixels; ++p) {
    for (int v = 0; v < out.vectors; ++v, sums += kFinishLanes) {
      const __mmask16 mask = valid_lanes(out.channels - v * kFinishLanes);
      const std::size_t index = (out.pixel + p) * out.pitch + out.channel + v * kFinishLanes;
      __m512 y =
          _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums)), _mm512_load_ps(out.multiplier + v * kFinishLanes));
      y = Int8Epilogue512::after(e.first, y);
      if (finish.mid) y = e.after_mid(y);
      if (finish.residual) y = _mm512_add_ps(y, e.residual_term(index, mask));
      y = Int8Epilogue512::after(e.last, y);
      if (finish.real)
        _mm512_mask_storeu_ps(reinterpret_cast<float*>(finish.output) + index, mask, e.limited(y));
      else
        _mm_mask_storeu_epi8(finish.output + index, mask, e.quantized(y));
    }
  }
}

// Any output, one vector at a time: an activation's constants want the registers that the sums of a tile hold. The
// usual ones have a loop of their own, in which these constants stay there.
inline void write_sums(const Finish& finish, const std::int32_t* sums, const ConvTileOutput& out) {
  const Int8Epilogue512& e = finish.e;
  const bool plain = !finish.real && !finish.mid && !finish.residual && e.first.kind == Int8Activation::none && e.last.coarse;
  const float scale = e.last.scale, alpha = e.last.alpha;
  if (plain && e.last.kind == Int8Activation::swish)
    write_bytes(finish, sums, out, [=](__m512 v) { return _mm512_mul_ps(gated<Float16, SigmoidGate>(alpha, v), _mm512_set1_ps(scale)); });
  else if (plain && e.last.kind == Int8Activation::gelu)
    write_bytes(finish, sums, out, [=](__m512 v) { return _mm512_mul_ps(gated<Float16, GaussGate>(1, v), _mm512_set1_ps(scale)); });
  else
    write_any(finish, sums, out);
}

}  // namespace
}  // namespace pare
