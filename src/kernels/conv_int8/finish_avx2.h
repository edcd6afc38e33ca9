#pragma once
// What integer convolutions do with a tile's sums: the epilogue and the store. Only for *_avx2.cpp files, hence in an
// unnamed namespace.

#include "kernels/conv_int8/driver.h"
#include "kernels/int8_epilogue/int8_epilogue_avx2.h"

namespace pare {
namespace {

// Whether quantized() makes the outputs.
inline bool makes_bytes(const Int8Epilogue256& epilogue, int channels) {
  return epilogue.e.type != Int8Output::f32 && epilogue.bounded(channels);
}

// Whether more is to be done than multiplying, adding and rounding.
inline bool activates(const Int8Epilogue& e) {
  return e.table != nullptr || e.first.kind != Int8Activation::none || e.last.kind != Int8Activation::none;
}

class Finish256 {
 public:
  Finish256(const Int8Epilogue& epilogue, void* output, int channels)
      : e_(epilogue), any_(epilogue, output), bytes_(makes_bytes(any_, channels)), activates_(activates(epilogue)),
        alone_(!epilogue.has_mid && epilogue.residual == nullptr && epilogue.first.kind == Int8Activation::none) {}

  // Bytes of whole vectors without activations or a table are made while the sums are in registers; anything else goes
  // through `room` for the sums in memory, 32-byte aligned: an activation's constants want the registers. `pixel`: the
  // first of this tile.
  template <int Pixels, int Vectors>
  inline __attribute__((always_inline)) void run(const __m256i (&sums)[Pixels][Vectors], std::int32_t* room,
                                                 const ConvTileOutput& out, std::size_t pixel) const {
    const bool whole = out.channels == Vectors * 8;
    if (whole && bytes_ && !activates_) {
      write<0>(sums, pixel * out.pitch + out.channel, out);
      return;
    }
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        _mm256_store_si256(reinterpret_cast<__m256i*>(room + (p * Vectors + v) * 8), sums[p][v]);
    }
    if (whole && bytes_)
      write_activated<Vectors>(room, out, pixel);
    else if (whole && e_.type == Int8Output::f32)
      write_floats<Vectors>(room, out, pixel);
    else
      write_any(room, out, pixel);
  }

 private:
  // Bytes of whole vectors; sums: [pixel][vector][8]. The usual activations have a loop of their own, in which their constants
  // stay in registers.
  template <int Vectors>
  __attribute__((noinline)) void write_activated(const std::int32_t* sums, const ConvTileOutput& out,
                                                 std::size_t pixel) const {
    const float scale = e_.last.scale, alpha = e_.last.alpha;
    const auto scaled = [=](__m256 v) { return _mm256_mul_ps(v, _mm256_set1_ps(scale)); };
    if (alone_ && e_.last.coarse && e_.last.kind == Int8Activation::swish)
      write_by<Vectors>(sums, out, pixel, [=](__m256 v, std::size_t) { return scaled(gated<Float8, SigmoidGate>(alpha, v)); });
    else if (alone_ && e_.last.kind == Int8Activation::gelu)
      write_by<Vectors>(sums, out, pixel, [=](__m256 v, std::size_t) { return scaled(gated<Float8, GaussGate>(1, v)); });
    else
      write_by<Vectors>(sums, out, pixel, [this](__m256 v, std::size_t index) { return any_.finished(v, index); });
  }

  // finished: sum times multiplier and index of 8 outputs → their values before limits.
  template <int Vectors, class Finished>
  inline __attribute__((always_inline)) void write_by(const std::int32_t* sums, const ConvTileOutput& out, std::size_t pixel,
                                                      const Finished& finished) const {
    constexpr int kAtOnce = Vectors == 3 ? 1 : 4 / Vectors;
    const std::size_t pitch = std::size_t(out.pitch);
    std::size_t index = pixel * pitch + std::size_t(out.channel);
    int p = 0;
    const auto write = [&]<int Pixels>() __attribute__((always_inline)) {
      __m256 v[4] = {};
#pragma GCC unroll 4
      for (int i = 0; i < Pixels * Vectors; ++i) {
        const __m256i sum = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums + (p * Vectors + i) * 8));
        v[i] = finished(Int8Epilogue256::multiplied(sum, out.multiplier + i % Vectors * 8),
                        index + std::size_t(i / Vectors) * pitch + std::size_t(i % Vectors * 8));
      }
      store<Pixels, Vectors>(any_.output + index, pitch, any_.quantized(v));
      index += Pixels * pitch;
      p += Pixels;
    };
    while (p + kAtOnce <= out.pixels) write.template operator()<kAtOnce>();
    while (p < out.pixels) write.template operator()<1>();
  }

  // Floats of whole vectors.
  template <int Vectors>
  __attribute__((noinline)) void write_floats(const std::int32_t* sums, const ConvTileOutput& out, std::size_t pixel) const {
    const auto write = [&](const auto& finished) __attribute__((always_inline)) {
      for (int p = 0; p < out.pixels; ++p) {
        const std::size_t index = (pixel + std::size_t(p)) * std::size_t(out.pitch) + std::size_t(out.channel);
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i, sums += 8) {
          const __m256i sum = _mm256_load_si256(reinterpret_cast<const __m256i*>(sums));
          const std::size_t at = index + std::size_t(i * 8);
          const __m256 v = finished(Int8Epilogue256::multiplied(sum, out.multiplier + i * 8), at);
          _mm256_storeu_ps(reinterpret_cast<float*>(any_.output) + at, any_.limited(v));
        }
      }
    };
    const Int8Activation sigmoid{.kind = Int8Activation::sigmoid, .scale = e_.last.scale};
    if (alone_ && e_.last.kind == Int8Activation::sigmoid && !e_.last.coarse)
      write([=](__m256 v, std::size_t) { return Int8Epilogue256::after(sigmoid, v); });
    else
      write([this](__m256 v, std::size_t at) { return any_.finished(v, at); });
  }

  // sums: [pixel][vector][8]
  void write_any(const std::int32_t* sums, const ConvTileOutput& out, std::size_t pixel) const {
    for (int p = 0; p < out.pixels; ++p, ++pixel) {
      const std::size_t index = pixel * out.pitch + out.channel;
      for (int v = 0; v < out.vectors; ++v, sums += 8) {
        any_.store(index + v * 8, _mm256_load_si256(reinterpret_cast<const __m256i*>(sums)), out.multiplier + v * 8,
                   std::min(8, out.channels - v * 8));
      }
    }
  }

  // Pixels from `First`, whose outputs begin at `index`: as many at once as make 32 bytes.
  template <int First, int Pixels, int Vectors>
  inline __attribute__((always_inline)) void write(const __m256i (&sums)[Pixels][Vectors], std::size_t index,
                                                   const ConvTileOutput& out) const {
    constexpr int kAtOnce = std::min(Vectors == 3 ? 1 : 4 / Vectors, Pixels - First);
    __m256 v[4];
#pragma GCC unroll 4
    for (int i = 0; i < kAtOnce * Vectors; ++i)
      v[i] = Int8Epilogue256::multiplied(sums[First + i / Vectors][i % Vectors], out.multiplier + i % Vectors * 8);
    if (e_.has_mid) {
#pragma GCC unroll 4
      for (int i = 0; i < kAtOnce * Vectors; ++i) v[i] = any_.after_mid(v[i]);
    }
    if (e_.residual) {
#pragma GCC unroll 4
      for (int i = 0; i < kAtOnce * Vectors; ++i)
        v[i] = _mm256_add_ps(v[i], any_.residual_term(index + i / Vectors * std::size_t(out.pitch) + i % Vectors * 8));
    }
#pragma GCC unroll 4
    for (int i = kAtOnce * Vectors; i < 4; ++i) v[i] = v[0];
    store<kAtOnce, Vectors>(any_.output + index, std::size_t(out.pitch), any_.quantized(v));
    if constexpr (First + kAtOnce < Pixels) write<First + kAtOnce>(sums, index + kAtOnce * std::size_t(out.pitch), out);
  }

  template <int Pixels, int Vectors>
  static void store(std::uint8_t* to, std::size_t pitch, __m256i bytes) {
    const __m128i low = _mm256_castsi256_si128(bytes), high = _mm256_extracti128_si256(bytes, 1);
    if constexpr (Vectors == 4) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    } else if constexpr (Vectors == 3) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), low);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 16), high);
    } else if constexpr (Vectors == 2) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), low);
      if constexpr (Pixels > 1) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + pitch), high);
    } else {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to), low);
      if constexpr (Pixels > 1) _mm_storel_epi64(reinterpret_cast<__m128i*>(to + pitch), _mm_unpackhi_epi64(low, low));
      if constexpr (Pixels > 2) _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 2 * pitch), high);
      if constexpr (Pixels > 3)
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 3 * pitch), _mm_unpackhi_epi64(high, high));
    }
  }

  const Int8Epilogue& e_;
  Int8Epilogue256 any_;
  bool bytes_, activates_;
  bool alone_;  // nothing but the last activation lies between sums and rounding
};

}  // namespace
}  // namespace pare
