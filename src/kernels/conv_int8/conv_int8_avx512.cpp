// AVX-512 VNNI: 16 output channels a vector, 4 input bytes a step. A pixel's 4 bytes are broadcast and multiplied with
// the weights of 16 channels by one vpdpbusd; two vectors a pixel leave load ports idle, 24 sums hide the latency.

#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // both: false alarms in GCC 12's immintrin.h (GCC bug 105593)

#include <utility>

#include "kernels/conv_int8/driver.h"
#include "kernels/conv_int8/finish_avx512.h"

namespace pare {
namespace {

constexpr int kLanes = kFinishLanes;
constexpr int kMaxVectors = 4;
// Sums + weights + one broadcast fit 32 registers.
constexpr int kMaxPixels[] = {0, 14, 14, 9, 6};
constexpr int kMaxQuads[] = {0, 6, 3, 2, 1};

template <int First, int Pixels, int Vectors>
inline __attribute__((always_inline)) void finish_from(const __m512i (&sums)[Pixels][Vectors],
                                                       const __m512 (&multipliers)[Vectors], Destination& to) {
  constexpr int kAtOnce = Vectors == 3 ? 1 : 4 / Vectors;
  if constexpr (First < Pixels) {
    finish_pixels<First, (Pixels - First < kAtOnce ? Pixels - First : kAtOnce)>(sums, multipliers, to);
    finish_from<First + kAtOnce>(sums, multipliers, to);
  }
}

template <int Pixels, int Vectors>
inline __attribute__((always_inline)) void finish_tile(const __m512i (&sums)[Pixels][Vectors], const ConvTileJob& job,
                                                       const Finish& finish, const ConvTileOutput& out) {
  if (finish.fused) {
    __m512 multipliers[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) multipliers[v] = _mm512_load_ps(out.multiplier + v * kLanes);
    Destination to(finish, out, Vectors * kLanes);
    finish_from<0>(sums, multipliers, to);
    return;
  }
#pragma GCC unroll 32
  for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) _mm512_store_si512(job.sums + (p * Vectors + v) * kLanes, sums[p][v]);
  }
}

// Quad: pixel pointers are given for every fourth pixel, which saves general registers.
template <int Pixels, int Vectors, bool Quad>
void run_tile(const ConvTileJob& job, const Finish& finish, const ConvTileOutput& out) {
  __m512i sums[Pixels][Vectors];
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    const __m512i bias = _mm512_load_si512(job.bias + v * kLanes);
#pragma GCC unroll 32
    for (int p = 0; p < Pixels; ++p) sums[p][v] = bias;
  }
  constexpr int kBases = Quad ? Pixels / 4 : Pixels;
  const std::uint8_t* bases[kBases];
#pragma GCC unroll 32
  for (int i = 0; i < kBases; ++i) bases[i] = job.pixels[i];
  const std::ptrdiff_t step1 = job.quad_step;
  const std::ptrdiff_t step3 = 3 * step1;
  const std::uint8_t* weights = job.weights;
  for (int run = 0; run < job.runs; ++run) {
    std::ptrdiff_t at = job.run_offsets[run];
    const std::ptrdiff_t end = at + job.steps * 4;
    for (; at < end; at += 4, weights += Vectors * 64) {
      __m512i w[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) w[v] = _mm512_load_si512(weights + v * 64);
#pragma GCC unroll 32
      for (int p = 0; p < Pixels; ++p) {
        const std::uint8_t* x = Quad ? bases[p / 4] + at : bases[p] + at;
        if constexpr (Quad) x += p % 4 == 3 ? step3 : (p % 4) * step1;
        std::int32_t four;
        std::memcpy(&four, x, 4);
        const __m512i xs = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], xs, w[v]);
      }
    }
  }
  finish_tile(sums, job, finish, out);
}

// 3x3 with one vector of output channels, where a broadcast would serve only one product: a tile of neighbours in one
// row, each input pixel is broadcast once for the three taps of a kernel row.
template <int Pixels>
void run_row_tile(const ConvTileJob& job, const Finish& finish, const ConvTileOutput& out) {
  __m512i sums[Pixels][1];
  const __m512i bias = _mm512_load_si512(job.bias);
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) sums[p][0] = bias;
  const std::ptrdiff_t step1 = job.quad_step, step3 = 3 * step1;
  const int tap_steps = job.steps / 3;
  const std::ptrdiff_t tap_bytes = tap_steps * 64;
  const std::uint8_t* weights = job.weights;
  for (int run = 0; run < job.runs; ++run, weights += 3 * tap_bytes) {
    const std::uint8_t* x = job.pixels[0] + job.run_offsets[run];
    const std::uint8_t* w = weights;
    for (int step = 0; step < tap_steps; ++step, x += 4, w += 64) {
      const __m512i taps[3] = {_mm512_load_si512(w), _mm512_load_si512(w + tap_bytes),
                               _mm512_load_si512(w + 2 * tap_bytes)};
      const std::uint8_t* quad = x;
#pragma GCC unroll 18
      for (int p = 0; p < Pixels + 2; ++p) {
        if (p > 0 && p % 4 == 0) quad += 4 * step1;
        std::int32_t four;
        std::memcpy(&four, p % 4 == 3 ? quad + step3 : quad + (p % 4) * step1, 4);
        const __m512i xs = _mm512_set1_epi32(four);
#pragma GCC unroll 3
        for (int tap = 0; tap < 3; ++tap) {
          if (p >= tap && p - tap < Pixels) sums[p - tap][0] = _mm512_dpbusd_epi32(sums[p - tap][0], xs, taps[tap]);
        }
      }
    }
  }
  finish_tile(sums, job, finish, out);
}

using Tile = void (*)(const ConvTileJob&, const Finish&, const ConvTileOutput&);

template <int Vectors, bool Quad, int... I>
Tile tile_of(int count, std::integer_sequence<int, I...>) {
  static constexpr Tile tiles[] = {run_tile<(I + 1) * (Quad ? 4 : 1), Vectors, Quad>...};
  return tiles[count - 1];
}

template <bool Quad, int... V>
Tile tile_of(int count, int vectors, std::integer_sequence<int, V...>) {
  Tile tile = nullptr;
  ((vectors == V + 1 ? void(tile = tile_of<V + 1, Quad>(
                                count, std::make_integer_sequence<int, (Quad ? kMaxQuads : kMaxPixels)[V + 1]>{}))
                     : void()),
   ...);
  return tile;
}

struct Avx512 {
  static constexpr int kLanes = pare::kLanes;
  static constexpr int kMaxVectors = pare::kMaxVectors;
  static constexpr int kTiles = 1;

  static int max_pixels(int vectors) { return kMaxPixels[vectors]; }
  static int max_quads(int vectors) { return kMaxQuads[vectors]; }
  static int max_row_quads(int vectors) { return vectors == 1 ? 4 : 0; }

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    if (bytes <= 64) {  // the channels of one group
      const __mmask64 mask = bytes == 64 ? ~0ull : (1ull << bytes) - 1;
      _mm512_mask_storeu_epi8(
          to, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, from), _mm512_set1_epi8(static_cast<char>(flip))));
      return;
    }
    if (flip == 0) {
      std::memcpy(to, from, bytes);
      return;
    }
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) { std::memset(to, value, count); }

  class Tiles {
   public:
    Tiles(const ConvInt8Args& args, int channels) : finish_(args, channels) {}

    void run(const ConvTileJob& job, const ConvTileOutput& out, ConvTilePixels form) const {
      constexpr std::make_integer_sequence<int, kMaxVectors> kAll{};
      static constexpr Tile row_tiles[] = {run_row_tile<4>, run_row_tile<8>, run_row_tile<12>, run_row_tile<16>};
      const Tile tile = form == ConvTilePixels::row     ? row_tiles[out.pixels / 4 - 1]
                        : form == ConvTilePixels::quads ? tile_of<true>(out.pixels / 4, out.vectors, kAll)
                                                        : tile_of<false>(out.pixels, out.vectors, kAll);
      tile(job, finish_, out);
      if (!finish_.fused) write_sums(finish_, job.sums, out);
    }

   private:
    Finish finish_;
  };
};

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

extern const ConvInt8Kernel conv_int8_avx512vnni;
const ConvInt8Kernel conv_int8_avx512vnni = {
    "conv_int8_avx512vnni",     "avx512vnni", supported, kLanes, false, kMaxVectors, Avx512::max_pixels,
    ConvInt8Driver<Avx512>::run};

}  // namespace pare
