// AVX-512 VNNI and VBMI: 16 output channels a vector, 4 input bytes a step. Of a window of 64 input bytes in a register vpermb
// picks the four that each of the 16 outputs wants, vpdpbusd multiplies them with its weights. On Zen 4 a pair of them takes
// 4/3 cycles and a vpdpbusd alone one: the ceiling against a dense layer is 0.75 / density.

#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // both: false alarms in GCC 12's immintrin.h (GCC bug 105593)

#include <utility>

#include "kernels/conv_int8/finish_avx512.h"
#include "kernels/sparse_int8/driver.h"

namespace pare {
namespace {

constexpr int kLanes = 16;

// Sums, windows, index and weights: 2 * 12 + 2 of the 32 registers, the others hold what vpermb picked.
template <int Pixels, bool Masked>
void gather_tile(const SparseTileJob& job) {
  const __mmask64 mask = Masked ? (1ull << job.run_bytes) - 1 : ~0ull;
  const std::int32_t* bias = job.bias;
  std::int32_t* to = job.sums;
  for (const SparseInt8Strip* list = job.lists; list < job.lists_end; ++list, bias += kLanes, to += kLanes) {
    __m512i sums[Pixels];
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) sums[p] = _mm512_load_si512(bias);
    const std::uint8_t* items = job.stream[list->line].bytes;
    const SparseInt8Window* const end = job.windows + list[1].window;
    for (const SparseInt8Window* w = job.windows + list->window; w < end; ++w) {
      __m512i x[Pixels];
      const std::ptrdiff_t offset = w->offset;
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p)
        x[p] = Masked ? _mm512_maskz_loadu_epi8(mask, job.pixels[p] + offset) : _mm512_loadu_si512(job.pixels[p] + offset);
      const std::uint8_t* const items_end = items + std::ptrdiff_t{w->items} * 128;
      do {
        const __m512i index = _mm512_load_si512(items), weights = _mm512_load_si512(items + 64);
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p) sums[p] = _mm512_dpbusd_epi32(sums[p], _mm512_permutexvar_epi8(index, x[p]), weights);
        items += 128;
      } while (items < items_end);
    }
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) _mm512_store_si512(to + p * job.pitch, sums[p]);
  }
}

template <int Pixels, int Together>
void blocks_tile(const SparseTileJob& job) {
  const std::int32_t* bias = job.bias;
  std::int32_t* to = job.sums;
  const std::uint8_t* pixels[Pixels];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) pixels[p] = job.pixels[p];
  for (const SparseInt8Strip* list = job.lists; list < job.lists_end; ++list, bias += Together * kLanes, to += Together * kLanes) {
    __m512i sums[Pixels][Together];
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
      for (int v = 0; v < Together; ++v) sums[p][v] = _mm512_load_si512(bias + v * kLanes);
    }
    const std::uint8_t* weights = job.stream[list->line].bytes;
    const SparseInt8Window* const end = job.windows + list[1].window;
    for (const SparseInt8Window* window = job.windows + list->window; window < end; ++window, weights += Together * 64) {
      const std::ptrdiff_t offset = window->offset;
      __m512i w[Together];
#pragma GCC unroll 2
      for (int v = 0; v < Together; ++v) w[v] = _mm512_load_si512(weights + v * 64);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) {
        std::int32_t four;
        std::memcpy(&four, pixels[p] + offset, 4);
        const __m512i x = _mm512_set1_epi32(four);
#pragma GCC unroll 2
        for (int v = 0; v < Together; ++v) sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], x, w[v]);
      }
    }
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 2
      for (int v = 0; v < Together; ++v) _mm512_store_si512(to + p * job.pitch + v * kLanes, sums[p][v]);
    }
  }
}

using Tile = void (*)(const SparseTileJob&);

template <bool Masked, int... I>
Tile gather_of(int count, std::integer_sequence<int, I...>) {
  static constexpr Tile tiles[] = {gather_tile<I + 1, Masked>...};
  return tiles[count - 1];
}

template <int Together, int... I>
Tile blocks_of(int count, std::integer_sequence<int, I...>) {
  static constexpr Tile tiles[] = {blocks_tile<I + 1, Together>...};
  return tiles[count - 1];
}

// The outputs of a tile. Its sums are in the order of the lanes: multipliers and residuals are brought into that order, and
// the bytes back by the permutation that a dense layer needs, too.
class FinishTile {
 public:
  FinishTile(const PackedSparseInt8& packed, const ConvInt8Args& args) : packed_(packed), finish_(args, packed.shape.out_c), given_(args.epilogue.multiplier) {}

  void run(const ConvTileOutput& out, int block, std::int32_t* sums) {
    if (block != block_) prepare(block, out);
    if (!finish_.fused) {
      ConvTileOutput ordered = out;
      ordered.multiplier = multiplier_;
      if (!in_order_) put_in_order(sums, out);
      write_sums(finish_, sums, ordered);
      return;
    }
    static constexpr void (FinishTile::*finishers[])(const ConvTileOutput&, const std::int32_t*) const = {
        &FinishTile::finish<1>, &FinishTile::finish<2>, &FinishTile::finish<3>, &FinishTile::finish<4>};
    (this->*finishers[out.vectors - 1])(out, sums);
  }

 private:
  // Where byte `lane` of a pixel is after Int8Epilogue512::packed(): each 128 bits hold 4 bytes of each of 4 vectors.
  static int packed_place(int vectors, int pixel, int lane) {
    const int vector = pixel * vectors + lane / kLanes, element = lane % kLanes;
    return element / 4 * 16 + vector * 4 + element % 4;
  }

  void prepare(int block, const ConvTileOutput& out) {
    block_ = block;
    const std::uint8_t* channel = &packed_.channel[std::size_t(block) * kSparseInt8Block];
    const std::uint8_t* place = packed_.place[std::size_t(block)].bytes;
    alignas(64) std::uint8_t order[64] = {};
    const int width = out.vectors * kLanes;
    in_order_ = true;
    for (int i = 0; i < 64 / width * width; ++i) order[i] = static_cast<std::uint8_t>(packed_place(out.vectors, i / width, place[i % width]));
    for (int i = 0; i < width; ++i) in_order_ &= channel[i] == i;
    order_ = _mm512_load_si512(order);
    lanes_ = _mm512_loadu_si512(channel);
    std::memcpy(multiplier_, given_ + out.channel, sizeof(float) * std::size_t(out.channels));
  }

  void put_in_order(std::int32_t* sums, const ConvTileOutput& out) const {
    const std::uint8_t* place = packed_.place[std::size_t(block_)].bytes;
    alignas(64) std::int32_t row[kSparseInt8Block];
    for (int p = 0; p < out.pixels; ++p, sums += out.vectors * kLanes) {
      std::memcpy(row, sums, sizeof(std::int32_t) * std::size_t(out.vectors * kLanes));
      for (int v = 0; v < out.vectors; ++v) {
        const __m512i from = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(place + v * kLanes)));
        _mm512_store_si512(sums + v * kLanes, _mm512_i32gather_epi32(from, row, 4));
      }
    }
  }

  template <int Vectors>
  void finish(const ConvTileOutput& out, const std::int32_t* sums) const {
    constexpr int kAtOnce = Vectors == 3 ? 1 : 4 / Vectors;
    __m512 multipliers[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) multipliers[v] = _mm512_load_ps(out.multiplier + v * kLanes);
    const Finish constants = finish_;  // a copy that no store can change stays in registers
    Destination to(constants, out, Vectors * kLanes);
    int p = 0;
    for (; p + kAtOnce <= out.pixels; p += kAtOnce, sums += kAtOnce * Vectors * kLanes) finish_pixels<kAtOnce, Vectors>(sums, multipliers, to);
    if constexpr (kAtOnce > 1)
      for (; p < out.pixels; ++p, sums += Vectors * kLanes) finish_pixels<1, Vectors>(sums, multipliers, to);
  }

  template <int Count, int Vectors>
  void finish_pixels(const std::int32_t* sums, const __m512 (&multipliers)[Vectors], Destination& to) const {
    const Int8Epilogue512& e = to.finish.e;
    __m512 v[4];
#pragma GCC unroll 4
    for (int i = 0; i < Count * Vectors; ++i)
      v[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + i * kLanes)), multipliers[i % Vectors]);
    if (to.finish.mid) {
#pragma GCC unroll 4
      for (int i = 0; i < Count * Vectors; ++i) v[i] = e.after_mid(v[i]);
    }
    if (to.finish.residual) {
#pragma GCC unroll 4
      for (int p = 0; p < Count; ++p) {
        const __m512i bytes = _mm512_permutexvar_epi8(lanes_, _mm512_maskz_loadu_epi8(to.mask, e.residual + to.index + p * std::size_t(to.out.pitch)));
        const __m128i parts[] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1), _mm512_extracti32x4_epi32(bytes, 2),
                                 _mm512_extracti32x4_epi32(bytes, 3)};
#pragma GCC unroll 4
        for (int i = 0; i < Vectors; ++i) v[p * Vectors + i] = _mm512_add_ps(v[p * Vectors + i], e.residual_value(parts[i]));
      }
    }
    if (e.leaks) {
#pragma GCC unroll 4
      for (int i = 0; i < Count * Vectors; ++i) v[i] = e.leaked(v[i]);
    }
#pragma GCC unroll 4
    for (int i = Count * Vectors; i < 4; ++i) v[i] = v[0];
    to.store<Count, Vectors>(_mm512_permutexvar_epi8(order_, e.packed(v)));
    to.index += Count * std::size_t(to.out.pitch);
  }

  const PackedSparseInt8& packed_;
  Finish finish_;
  int block_ = -1;
  bool in_order_ = true;
  __m512i order_, lanes_;  // of packed() to channels; of channels to lanes
  const float* given_;
  alignas(64) float multiplier_[kSparseInt8Block] = {};  // of the block, in the order of the channels
};

struct Avx512 {
  static constexpr int kLanes = pare::kLanes;
  using Finish = FinishTile;

  static void copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes, std::uint8_t flip) {
    if (flip == 0) {
      std::memcpy(to, from, bytes);
      return;
    }
    for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i] ^ flip;
  }
  static void fill(std::uint8_t* to, std::size_t count, int value) { std::memset(to, value, count); }

  static void gather(const SparseTileJob& job) {
    constexpr std::make_integer_sequence<int, kMaxSparsePixels> kAll{};
    (job.run_bytes > 0 ? gather_of<true>(job.count, kAll) : gather_of<false>(job.count, kAll))(job);
  }
  template <int Together>
  static void blocks(const SparseTileJob& job) {
    blocks_of<Together>(job.count, std::make_integer_sequence<int, kMaxSparsePixels>{})(job);
  }
};

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}

}  // namespace

extern const SparseInt8Kernel sparse_int8_avx512vbmi;
const SparseInt8Kernel sparse_int8_avx512vbmi = {
    "sparse_int8_avx512vbmi", "avx512vbmi", supported, kLanes, 4, 64, kMaxSparsePixels, SparseInt8Driver<Avx512>::run};

}  // namespace pare
