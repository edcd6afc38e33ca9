// AVX2 without VNNI: 8 output channels a vector, two inputs a step. vpmaddubsw would saturate its 16-bit sums, so
// inputs and weights are widened to 16 bits (inputs while they are copied) and multiplied by vpmaddwd, which is exact.

#include <utility>

#include "kernels/conv_int8/driver.h"
#include "kernels/int8_epilogue/int8_epilogue_avx2.h"

namespace pare {
namespace {

constexpr int kLanes = 8;
constexpr int kMaxVectors = 2;
constexpr int kMaxPixels[] = {0, 10, 5};  // sums + weights + input + product fit 16 registers

template <int Pixels, int Vectors>
void fill_sums(const ConvTileJob& job) {
  __m256i sums[Pixels][Vectors];
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const __m256i bias = _mm256_load_si256(reinterpret_cast<const __m256i*>(job.bias + v * kLanes));
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) sums[p][v] = bias;
  }
  const std::uint8_t* bases[Pixels];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) bases[p] = job.pixels[p];
  const std::uint8_t* weights = job.weights;
  for (int run = 0; run < job.runs; ++run) {
    std::ptrdiff_t at = job.run_offsets[run];
    const std::ptrdiff_t end = at + job.steps * 4;
    for (; at < end; at += 4, weights += Vectors * 32) {
      __m256i w[Vectors];
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) w[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights + v * 32));
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) {
        std::int32_t two;
        std::memcpy(&two, bases[p] + at, 4);
        const __m256i xs = _mm256_set1_epi32(two);
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(xs, w[v]));
      }
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      _mm256_store_si256(reinterpret_cast<__m256i*>(job.sums + (p * Vectors + v) * kLanes), sums[p][v]);
  }
}

template <int Vectors, int... I>
void fill_sums(const ConvTileJob& job, int pixels, std::integer_sequence<int, I...>) {
  static constexpr void (*tiles[])(const ConvTileJob&) = {fill_sums<I + 1, Vectors>...};
  tiles[pixels - 1](job);
}

struct Avx2 {
  static constexpr int kLanes = pare::kLanes;
  static constexpr int kGroup = 2;
  static constexpr int kElement = 2;
  static constexpr int kMaxVectors = pare::kMaxVectors;

  static int max_pixels(int vectors) { return kMaxPixels[vectors]; }
  static int max_quads(int) { return 0; }
  static int max_row_quads(int) { return 0; }

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    std::uint16_t* wide = reinterpret_cast<std::uint16_t*>(to);
    for (std::size_t i = 0; i < bytes; ++i) wide[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) {
    std::uint16_t* wide = reinterpret_cast<std::uint16_t*>(to);
    for (std::size_t i = 0; i < count; ++i) wide[i] = static_cast<std::uint16_t>(value);
  }

  struct Tiles {
    Tiles(const ConvInt8Args& args, int) : epilogue{args.epilogue, args.output} {}

    void run(const ConvTileJob& job, const ConvTileOutput& out, ConvTilePixels) const {
      if (out.vectors == 1)
        fill_sums<1>(job, out.pixels, std::make_integer_sequence<int, kMaxPixels[1]>{});
      else
        fill_sums<2>(job, out.pixels, std::make_integer_sequence<int, kMaxPixels[2]>{});
      const std::int32_t* sums = job.sums;
      for (int p = 0; p < out.pixels; ++p) {
        const std::size_t index = (out.pixel + p) * out.pitch + out.channel;
        for (int v = 0; v < out.vectors; ++v, sums += kLanes) {
          epilogue.store(index + v * kLanes, _mm256_load_si256(reinterpret_cast<const __m256i*>(sums)),
                         out.multiplier + v * kLanes, std::min(kLanes, out.channels - v * kLanes));
        }
      }
    }

    Int8Epilogue256 epilogue;
  };
};

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

extern const ConvInt8Kernel conv_int8_avx2;
const ConvInt8Kernel conv_int8_avx2 = {
    "conv_int8_avx2", "avx2", supported, kLanes, 2, kMaxVectors, Avx2::max_pixels, ConvInt8Driver<Avx2>::run};

}  // namespace pare
