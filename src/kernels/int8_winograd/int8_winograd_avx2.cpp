// AVX2: 16 channels are transformed at once, 8 outputs a vector; vpmaddwd multiplies 16 pairs' halves exactly, so 36 products do the work
// of 144. With 12 sums in registers multiplications and additions keep the vector units equally busy.

#include "kernels/conv_int8/finish_avx2.h"
#include "kernels/int8_winograd/loops.h"

namespace pare {
namespace {

struct Avx2 {
  typedef std::int16_t Shorts __attribute__((vector_size(32)));
  typedef std::uint32_t Ints __attribute__((vector_size(32)));
  static constexpr int kMaxVectors = 3;
  static constexpr int max_squares(int vectors) { return vectors == 1 ? 8 : 12 / vectors; }

  static Ints add_pairs(Ints sums, Shorts a, Shorts b) { return sums + reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b))); }

  class Finish {
   public:
    Finish(const ConvInt8Args& args, int channels) : finish_(args.epilogue, args.output, channels) {}

    template <int Vectors>
    inline __attribute__((always_inline)) void run(const Ints (&sums)[kWinogradInt8Tile][Vectors], const ConvTileOutput& out, std::size_t pixel) const {
      alignas(32) std::int32_t room[kWinogradInt8Tile * Vectors * 8];
      if (out.pixels == kWinogradInt8Tile) return finish_.run(loaded<kWinogradInt8Tile>(sums).at, room, out, pixel);
      ConvTileOutput single = out;
      single.pixels = 1;
      for (int p = 0; p < out.pixels; ++p) finish_.run(loaded<1>(&sums[p]).at, room, single, pixel + std::size_t(p));
    }

   private:
    template <int Pixels, int Vectors>
    struct Sums {
      __m256i at[Pixels][Vectors];
    };
    template <int Pixels, int Vectors>
    static inline __attribute__((always_inline)) Sums<Pixels, Vectors> loaded(const Ints (*sums)[Vectors]) {
      Sums<Pixels, Vectors> result;
#pragma GCC unroll 4
      for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) result.at[p][v] = reinterpret_cast<__m256i>(sums[p][v]);
      return result;
    }

    Finish256 finish_;
  };
};

bool supported() { return __builtin_cpu_supports("avx2"); }

}  // namespace

extern const WinogradInt8Kernel int8_winograd_avx2;
const WinogradInt8Kernel int8_winograd_avx2 = {"int8_winograd_avx2", "avx2", supported, 16, 8, Avx2::kMaxVectors, WinogradInt8Loops<Avx2>::run};

}  // namespace pare
