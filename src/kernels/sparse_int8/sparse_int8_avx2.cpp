// AVX2. Planes are the form for pixels enough to fill the lanes, blocks are steps of the dense kernel. Gathering is for few
// pixels, as of a matrix-vector product: 8 output channels a vector; of a window of 16 input bytes vpshufb picks two for each
// output and widens them to 16 bits, vpmaddwd multiplies (as in conv_int8_avx2.cpp it must not be vpmaddubsw, which
// saturates). A line of the stream is an item: 32 bytes of index, 16 weights of 16 bits.

#include <utility>

#include "kernels/sparse_int8/driver.h"
#include "kernels/sparse_int8/planes_avx2.h"

namespace pare {

extern const ConvInt8Kernel conv_int8_avx2;

namespace {

constexpr int kTileLanes = 8;
constexpr int kTilePixels = 5;  // sums + windows + index + weights fit 16 registers

template <int Pixels>
void gather_tile(const SparseTileJob& job) {
  std::ptrdiff_t lane = 0;
  for (const SparseInt8Strip* list = job.lists; list < job.lists_end; ++list, lane += kTileLanes) {
    __m256i sums[Pixels];
    const __m256i bias = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(job.bias + lane));
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) sums[p] = bias;
    const __m256i* items = reinterpret_cast<const __m256i*>(job.stream[list->line].bytes);
    const SparseInt8Window* const windows_end = job.windows + list[1].window;
    for (const SparseInt8Window* w = job.windows + list->window; w < windows_end; ++w) {
      __m256i x[Pixels];
#pragma GCC unroll 8
      for (int p = 0; p < Pixels; ++p)
        x[p] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(job.pixels[p] + w->offset)));
      for (const __m256i* end = items + 2 * w->items; items < end; items += 2) {
        const __m256i index = _mm256_load_si256(items), weights = _mm256_load_si256(items + 1);
#pragma GCC unroll 8
        for (int p = 0; p < Pixels; ++p) sums[p] = _mm256_add_epi32(sums[p], _mm256_madd_epi16(_mm256_shuffle_epi8(x[p], index), weights));
      }
    }
#pragma GCC unroll 8
    for (int p = 0; p < Pixels; ++p) _mm256_store_si256(reinterpret_cast<__m256i*>(job.sums + p * job.pitch + lane), sums[p]);
  }
}

template <int... I>
void gather_tile(const SparseTileJob& job, std::integer_sequence<int, I...>) {
  static constexpr void (*tiles[])(const SparseTileJob&) = {gather_tile<I + 1>...};
  tiles[job.count - 1](job);
}

struct Avx2 {
  static constexpr int kLanes = kTileLanes;

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) { std::memset(to, value, count); }

  static void gather(const SparseTileJob& job) { gather_tile(job, std::make_integer_sequence<int, kTilePixels>{}); }

  class Finish {
   public:
    Finish(const PackedSparseInt8& packed, const ConvInt8Args& args) : packed_(packed), args_(args), epilogue_{args.epilogue, args.output} {}

    void run(const ConvTileOutput& out, int block, const std::int32_t* sums) const {
      const std::uint8_t* channel = &packed_.channel[std::size_t(block) * kSparseInt8Block];
      alignas(32) std::int32_t in_order[kSparseInt8Block];
      for (int p = 0; p < out.pixels; ++p) {
        for (int i = 0; i < out.vectors * kLanes; ++i, ++sums) in_order[channel[i]] = *sums;
        for (int c = 0; c < out.channels; c += kLanes) {
          epilogue_.store((out.pixel + p) * out.pitch + out.channel + c, _mm256_load_si256(reinterpret_cast<const __m256i*>(in_order + c)),
                          args_.epilogue.multiplier + out.channel + c, std::min(kLanes, out.channels - c));
        }
      }
    }

   private:
    const PackedSparseInt8& packed_;
    const ConvInt8Args& args_;
    Int8Epilogue256 epilogue_;
  };
};

void run(const PackedSparseInt8& packed, const ConvInt8Args& args, int thread, int threads) {
  if (packed.form.planes)
    PlanesDriver(packed, args).run(thread, threads);
  else if (packed.form.together > 0)
    conv_int8_avx2.run(packed.steps, args, thread, threads);
  else
    SparseInt8Driver<Avx2>::run(packed, args, thread, threads);
}

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

extern const SparseInt8Kernel sparse_int8_avx2;
const SparseInt8Kernel sparse_int8_avx2 = {
    "sparse_int8_avx2", "avx2", supported, Avx2::kLanes, 2, 16, kTilePixels, run, &conv_int8_avx2, true};

}  // namespace pare
