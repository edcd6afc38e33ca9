// vpdpbusd multiplies a vector of 64 levels (16 outputs, 4 inputs each) with four activations that are broadcast from
// memory. One row streams the weights once and is bound by memory; several rows share the unpacked levels.
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // both: false alarms in GCC 12's immintrin.h (GCC bug 105593)

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/low_bit/tiles.h"

namespace pare {
namespace {

constexpr int kStrip = LowBitShape::kStrip, kUnit = LowBitShape::kUnit;
constexpr size_t kAhead = 5 << 10;  // bytes: what memory delivers while it answers

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

__m512i load(const uint8_t* p) {
  return _mm512_loadu_si512(p);
}

// The vectors j, j + 4, j + 8 and j + 12 of a unit, which share what is loaded.
template <LowBitPlanes planes>
struct Loaded {
  static constexpr PlaneLayout layout = plane_layout(planes);
  __m512i nibbles[2], pairs;

  Loaded(const uint8_t* unit, int j) {
    if constexpr (layout.nibbles >= 0)
      for (int k = 0; k < 2; ++k) nibbles[k] = load(unit + layout.nibbles + (j + 4 * k) * 64);
    if constexpr (layout.pairs >= 0) pairs = load(unit + layout.pairs + j * 64);
  }
};

// Levels of vector j + 4q as unsigned bytes.
template <LowBitPlanes planes, bool kTable>
__attribute__((always_inline)) inline __m512i levels_of(const Loaded<planes>& loaded, const uint8_t* unit, int j, int q,
                                                        __m512i table) {
  constexpr PlaneLayout layout = plane_layout(planes);
  const int i = j + 4 * q;
  if constexpr (layout.bytes >= 0) return load(unit + layout.bytes + i * 64);
  __m512i level = _mm512_setzero_si512();
  if constexpr (layout.nibbles >= 0) {
    const __m512i both = loaded.nibbles[q % 2];
    level = _mm512_and_si512(q < 2 ? both : _mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
  }
  if constexpr (layout.pairs >= 0) {
    const int up = layout.pair_shift - q * 2;  // from where the pair lies to where it belongs
    const __m512i moved =
        up >= 0 ? _mm512_slli_epi16(loaded.pairs, unsigned(up)) : _mm512_srli_epi16(loaded.pairs, unsigned(-up));
    const __m512i pair = _mm512_and_si512(moved, _mm512_set1_epi8(char(3 << layout.pair_shift)));
    level = layout.nibbles >= 0 ? _mm512_or_si512(level, pair) : pair;
  }
  if constexpr (layout.bits >= 0) {
    uint64_t bits;
    std::memcpy(&bits, unit + layout.bits + i * 8, 8);
    level = _mm512_mask_add_epi8(level, __mmask64(bits), level, _mm512_set1_epi8(char(1 << layout.bit_shift)));
  }
  if constexpr (kTable) level = _mm512_shuffle_epi8(table, level);
  return level;
}

__m512i activations(const int8_t* x) {
  int four;
  std::memcpy(&four, x, 4);
  return _mm512_set1_epi32(four);
}

__m512 halves(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

template <LowBitPlanes planes, int kGroup, bool kOffsets, bool kTable>
struct Tile {
  static constexpr int kRows = 4;  // sums, products and a level fit the registers
  template <int rows>
  static void run(const PackedLowBit& packed, const LowBitArgs& args, int64_t strip, int64_t first);
};

template <LowBitPlanes planes, int kGroup, bool kOffsets, bool kTable>
template <int rows>
void Tile<planes, kGroup, kOffsets, kTable>::run(const PackedLowBit& packed, const LowBitArgs& args, int64_t strip,
                                                 int64_t first) {
  const LowBitShape& shape = packed.shape;
  constexpr int kPerUnit = kUnit / kGroup;
  constexpr size_t kScaleBytes = size_t(kPerUnit) * kStrip * 2, kHeader = (kOffsets ? 2 : 1) * kScaleBytes;
  constexpr size_t kUnitBytes = kHeader + plane_bytes(planes);
  const int64_t units = shape.units(), width = units * kUnit;
  const int8_t* x = args.x.values + first * width;
  const LowBitGroup* groups = args.x.groups + first * shape.groups();
  const int64_t group_count = shape.groups();
  const uint8_t* unit = packed.strip(strip);
  const __m512i table = kTable ? _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(shape.levels)))
                               : _mm512_setzero_si512();
  const __m512 zero = _mm512_set1_ps(float(shape.zero));
  __m512 sums[rows];
  for (int r = 0; r < rows; ++r) sums[r] = _mm512_setzero_ps();
  for (int64_t u = 0; u < units; ++u, unit += kUnitBytes, x += kUnit) {
    if constexpr (rows == 1)
      for (size_t line = 0; line < kUnitBytes; line += 64)
        _mm_prefetch(reinterpret_cast<const char*>(unit + kAhead + line), _MM_HINT_T0);
    const uint8_t* level_bytes = unit + kHeader;
    __m512i products[kPerUnit][rows];
    for (int g = 0; g < kPerUnit; ++g)
      for (int r = 0; r < rows; ++r) products[g][r] = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Loaded<planes> loaded(level_bytes, j);
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        const __m512i level = levels_of<planes, kTable>(loaded, level_bytes, j, q, table);
        for (int r = 0; r < rows; ++r)
          products[q * kPerUnit / 4][r] =
              _mm512_dpbusd_epi32(products[q * kPerUnit / 4][r], level, activations(x + r * width + 4 * (j + 4 * q)));
      }
    }
#pragma GCC unroll 4
    for (int g = 0; g < kPerUnit; ++g) {
      const __m512 scale = halves(unit + g * kStrip * 2);
      for (int r = 0; r < rows; ++r) {
        const LowBitGroup& group = groups[r * group_count + u * kPerUnit + g];
        const __m512 sum = _mm512_set1_ps(group.sum);
        const __m512 product =
            _mm512_fmsub_ps(_mm512_cvtepi32_ps(products[g][r]), _mm512_set1_ps(group.scale), _mm512_mul_ps(zero, sum));
        sums[r] = _mm512_fmadd_ps(product, scale, sums[r]);
        if constexpr (kOffsets) sums[r] = _mm512_fnmadd_ps(halves(unit + kScaleBytes + g * kStrip * 2), sum, sums[r]);
      }
    }
  }
  const int64_t o = strip * kStrip;
  const __mmask16 lanes = __mmask16((1u << std::min<int64_t>(kStrip, shape.outputs - o)) - 1);
  const __m512 bias = args.bias ? _mm512_maskz_loadu_ps(lanes, args.bias + o) : _mm512_setzero_ps();
  for (int r = 0; r < rows; ++r) {
    const int64_t at = (first + r) * shape.outputs + o;
    __m512 y = _mm512_add_ps(sums[r], bias);
    if (args.residual) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(lanes, args.residual + at));
    _mm512_mask_storeu_ps(args.y + at, lanes, y);
  }
}

void quantize(const LowBitShape& shape, const float* x, int8_t* values, LowBitGroup* groups) {
  for (int64_t first = 0; first < shape.units() * kUnit; first += 32) {
    const int64_t count = std::clamp<int64_t>(shape.inputs - first, 0, 32);
    const uint32_t lanes = count == 32 ? ~0u : (1u << count) - 1;
    const __m512 low = _mm512_maskz_loadu_ps(__mmask16(lanes), x + first),
                 high = _mm512_maskz_loadu_ps(__mmask16(lanes >> 16), x + first + 16);
    const float most = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
    const float scale = most / 127;
    const __m512 inverse = _mm512_set1_ps(most > 0 ? 127 / most : 0);
    const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, inverse)),
                  b = _mm512_cvtps_epi32(_mm512_mul_ps(high, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + first), _mm512_cvtepi32_epi8(a));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + first + 16), _mm512_cvtepi32_epi8(b));
    const float sum_a = scale * float(_mm512_reduce_add_epi32(a)), sum_b = scale * float(_mm512_reduce_add_epi32(b));
    if (shape.group == 32) {
      groups[first / 32] = {scale, sum_a + sum_b};
    } else {
      groups[first / 16] = {scale, sum_a};
      groups[first / 16 + 1] = {scale, sum_b};
    }
  }
}

}  // namespace

extern const LowBitKernel low_bit_avx512vnni;
const LowBitKernel low_bit_avx512vnni{"low_bit_avx512vnni", "avx512vnni", supported, quantize, run};

}  // namespace pare
