// AVX2 without VNNI: 8 output channels a vector, 4 input bytes a step. vpmaddubsw adds the products of two inputs in 16
// bits and would saturate, so steps in which some sum could are widened and multiplied by vpmaddwd twice: as many
// multiplications, which are what limits both (32 products a cycle on Zen 4).

#include <utility>

#include "kernels/conv_int8/finish_avx2.h"

namespace pare {
namespace {

constexpr int kLanes = 8;
constexpr int kMaxVectors = 4;
constexpr int kMaxPixels[] = {0, 6, 4, 3,
                              3};  // 6 to 12 sums: with more the multipliers wait, though registers would do

__m256i load(const std::uint8_t* from) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
}

// `Steps` steps whose products can be added in 16 bits.
template <int Steps, int Pixels, int Vectors>
inline __attribute__((always_inline)) void multiply_joined(__m256i (&sums)[Pixels][Vectors],
                                                           const std::uint8_t* const (&bases)[Pixels],
                                                           const std::ptrdiff_t* at, const std::uint8_t* weights) {
  const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    __m256i xs[Steps];
#pragma GCC unroll 4
    for (int s = 0; s < Steps; ++s) {
      std::int32_t four;
      std::memcpy(&four, bases[p] + at[s], 4);
      xs[s] = _mm256_set1_epi32(four);
    }
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      __m256i products = _mm256_maddubs_epi16(xs[0], load(weights + v * 32));
#pragma GCC unroll 4
      for (int s = 1; s < Steps; ++s)
        products = _mm256_add_epi16(products, _mm256_maddubs_epi16(xs[s], load(weights + (s * Vectors + v) * 32)));
      sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(products, ones));
    }
  }
}

template <int Steps, int Pixels, int Vectors>
inline __attribute__((always_inline)) void add_joined(__m256i (&sums)[Pixels][Vectors],
                                                      const std::uint8_t* const (&bases)[Pixels],
                                                      const ConvStepsJob& job) {
  const std::uint8_t* weights = job.weights;
  for (int step = 0; step < job.steps; step += Steps, weights += Steps * Vectors * kLanes * kConvInt8Step)
    multiply_joined<Steps>(sums, bases, job.offsets + step, weights);
}

template <int Pixels, int Vectors>
inline __attribute__((always_inline)) void multiply_wide(__m256i (&sums)[Pixels][Vectors],
                                                         const std::uint8_t* const (&bases)[Pixels], std::ptrdiff_t at,
                                                         const std::uint8_t* weights) {
#pragma GCC unroll 8
  for (int p = 0; p < Pixels; ++p) {
    std::int32_t four;
    std::memcpy(&four, bases[p] + at, 4);
    const __m256i xs = _mm256_set1_epi32(four);
    const __m256i even = _mm256_and_si256(xs, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(xs, 8);
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(even, load(weights + v * 32)));
      sums[p][v] = _mm256_add_epi32(sums[p][v], _mm256_madd_epi16(odd, load(weights + (Vectors + v) * 32)));
    }
  }
}

template <int Pixels, int Vectors>
void run_tiles(const ConvTileJob& job, const Finish256& finish, const ConvTileOutput& out) {
  constexpr int kStepBytes = Vectors * kLanes * kConvInt8Step;
  const ConvStepsJob wide = job.wide;
  const std::uint8_t* const* pixels = job.pixels;
  std::size_t pixel = out.pixel;
  for (int tile = 0; tile < out.tiles; ++tile, pixels += Pixels, pixel += Pixels) {
    __m256i sums[Pixels][Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const __m256i bias = load(reinterpret_cast<const std::uint8_t*>(job.bias + v * kLanes));
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p) sums[p][v] = bias;
    }
    const std::uint8_t* bases[Pixels];
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) bases[p] = pixels[p];
    add_joined<1>(sums, bases, job.joined[0]);
    add_joined<2>(sums, bases, job.joined[1]);
    add_joined<4>(sums, bases, job.joined[2]);
    const std::uint8_t* weights = wide.weights;
    for (int step = 0; step < wide.steps; ++step, weights += 2 * kStepBytes)
      multiply_wide(sums, bases, wide.offsets[step], weights);
    finish.run(sums, job.sums, out, pixel);
  }
}

using Tile = void (*)(const ConvTileJob&, const Finish256&, const ConvTileOutput&);

template <int Vectors, int... I>
Tile tile_of(int pixels, std::integer_sequence<int, I...>) {
  static constexpr Tile tiles[] = {run_tiles<I + 1, Vectors>...};
  return tiles[pixels - 1];
}

template <int... V>
Tile tile_of(int pixels, int vectors, std::integer_sequence<int, V...>) {
  static constexpr Tile (*widths[])(int) = {
      [](int count) { return tile_of<V + 1>(count, std::make_integer_sequence<int, kMaxPixels[V + 1]>{}); }...};
  return widths[vectors - 1](pixels);
}

struct Avx2 {
  static constexpr int kLanes = pare::kLanes;
  static constexpr int kMaxVectors = pare::kMaxVectors;
  static constexpr int kTiles = 8;

  static int max_pixels(int vectors) { return kMaxPixels[vectors]; }
  static int max_quads(int) { return 0; }
  static int max_row_quads(int) { return 0; }

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    if (flip == 0) {
      std::memcpy(to, from, bytes);
      return;
    }
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) { std::memset(to, value, count); }

  struct Tiles {
    Tiles(const ConvInt8Args& args, int channels) : finish(args.epilogue, args.output, channels) {}

    void run(const ConvTileJob& job, const ConvTileOutput& out, ConvTilePixels) const {
      tile_of(out.pixels, out.vectors, std::make_integer_sequence<int, kMaxVectors>{})(job, finish, out);
    }

    Finish256 finish;
  };
};

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

extern const ConvInt8Kernel conv_int8_avx2;
const ConvInt8Kernel conv_int8_avx2 = {
    "conv_int8_avx2", "avx2", supported, kLanes, true, kMaxVectors, Avx2::max_pixels, ConvInt8Driver<Avx2>::run};

}  // namespace pare
