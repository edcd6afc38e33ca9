// Without VNNI: vpmaddubsw multiplies 32 levels (8 outputs, 4 inputs each) with four broadcast activations and adds
// pairs in 16 bits; as many of these are added there as cannot overflow, then vpmaddwd widens them to 32 bits.
#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/low_bit/tiles.h"

namespace pare {
namespace {

constexpr int kStrip = LowBitShape::kStrip, kUnit = LowBitShape::kUnit, kHalves = 2, kLanes = 8;
constexpr size_t kAhead = 5 << 10;  // bytes: what memory delivers while it answers

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");  // every CPU with FMA has F16C, which clang cannot ask for
}

__m256i load(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
__m256 halves(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Levels of 8 bits overflow 16 in one product: their distances from 128 are multiplied instead.
template <LowBitPlanes planes, bool kTable>
constexpr bool centred = kTable || planes == LowBitPlanes::byte;

// Products that may be added in 16 bits: two inputs each, activations of at most 127.
template <LowBitPlanes planes, bool kTable>
constexpr int most_added = centred<planes, kTable> ? 1 : 32767 / (2 * 127 * ((1 << plane_bits(planes)) - 1));

// A set bit i of the word becomes 255 in byte i.
__m256i bytes_of(const uint8_t* bits) {
  int word;
  std::memcpy(&word, bits, 4);
  const __m256i spread = _mm256_shuffle_epi8(
      _mm256_set1_epi32(word), _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i bit = _mm256_set1_epi64x(int64_t(0x8040201008040201));
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit), bit);
}

// Levels of vector i for one half of the outputs as unsigned bytes; centred ones with their sign.
template <LowBitPlanes planes, bool kTable>
__attribute__((always_inline)) inline __m256i levels_of(const uint8_t* unit, int i, int half, __m256i table) {
  constexpr PlaneLayout layout = plane_layout(planes);
  const int at = half * 32, q = i / 4;
  if constexpr (layout.bytes >= 0)
    return _mm256_xor_si256(load(unit + layout.bytes + i * 64 + at), _mm256_set1_epi8(char(128)));
  __m256i level = _mm256_setzero_si256();
  if constexpr (layout.nibbles >= 0) {
    const __m256i both = load(unit + layout.nibbles + i % 8 * 64 + at);
    level = _mm256_and_si256(i < 8 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
  }
  if constexpr (layout.pairs >= 0) {
    const __m256i all = load(unit + layout.pairs + i % 4 * 64 + at);
    const int up = layout.pair_shift - q * 2;  // from where the pair lies to where it belongs
    const __m256i moved = up >= 0 ? _mm256_slli_epi16(all, up) : _mm256_srli_epi16(all, -up);
    const __m256i pair = _mm256_and_si256(moved, _mm256_set1_epi8(char(3 << layout.pair_shift)));
    level = layout.nibbles >= 0 ? _mm256_or_si256(level, pair) : pair;
  }
  if constexpr (layout.bits >= 0)
    level = _mm256_or_si256(level, _mm256_and_si256(bytes_of(unit + layout.bits + i * 8 + half * 4),
                                                    _mm256_set1_epi8(char(1 << layout.bit_shift))));
  if constexpr (kTable) level = _mm256_shuffle_epi8(table, level);
  return level;
}

// 16 sums of two products each.
template <bool kCentred>
__m256i products(__m256i level, const int8_t* x) {
  int four;
  std::memcpy(&four, x, 4);
  const __m256i activations = _mm256_set1_epi32(four);
  return kCentred ? _mm256_maddubs_epi16(_mm256_abs_epi8(level), _mm256_sign_epi8(activations, level))
                  : _mm256_maddubs_epi16(level, activations);
}

template <LowBitPlanes planes, int kGroup, bool kOffsets, bool kTable>
struct Tile {
  static constexpr int kRows = 4;
  static constexpr bool kCentred = centred<planes, kTable>;
  static constexpr int kPerUnit = kUnit / kGroup, kVectors = kGroup / 4,
                       kRun = std::min(kVectors, int(std::bit_floor(unsigned(most_added<planes, kTable>))));
  static constexpr size_t kScaleBytes = size_t(kPerUnit) * kStrip * 2, kHeader = (kOffsets ? 2 : 1) * kScaleBytes;
  static constexpr size_t kUnitBytes = kHeader + plane_bytes(planes);

  // Exact sums of a group: levels (centred ones less 128) times activations.
  template <int rows>
  __attribute__((always_inline)) static void multiply(const uint8_t* levels, int g, __m256i table, const int8_t* x,
                                                      int64_t width, __m256i (&sums)[rows][kHalves]) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i added[rows][kHalves];
#pragma GCC unroll 8
    for (int k = 0; k < kVectors; ++k) {
      const bool begins = k % kRun == 0, ends = k % kRun == kRun - 1;
#pragma GCC unroll 2
      for (int h = 0; h < kHalves; ++h) {
        const int i = g * kVectors + k;
        const __m256i level = levels_of<planes, kTable>(levels, i, h, table);
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) {
          const __m256i product = products<kCentred>(level, x + r * width + 4 * i);
          added[r][h] = begins ? product : _mm256_add_epi16(added[r][h], product);
          asm("" : "+x"(added[r][h]));  // GCC would keep all products and add them up at the end, in memory
          if (!ends) continue;
          const __m256i wide = _mm256_madd_epi16(added[r][h], one);
          sums[r][h] = k < kRun ? wide : _mm256_add_epi32(sums[r][h], wide);
        }
      }
    }
  }

  template <int rows>
  static void run(const PackedLowBit& packed, const LowBitArgs& args, int64_t strip, int64_t first) {
    const LowBitShape& shape = packed.shape;
    const int64_t units = shape.units(), width = units * kUnit, group_count = shape.groups();
    const int8_t* x = args.x.values + first * width;
    const LowBitGroup* groups = args.x.groups + first * group_count;
    const uint8_t* unit = packed.strip(strip);
    const __m256i table =
        kTable ? _mm256_xor_si256(
                     _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(shape.levels))),
                     _mm256_set1_epi8(char(128)))
               : _mm256_setzero_si256();
    const float zero = float(shape.zero - (kCentred ? 128 : 0));
    __m256 y[rows][kHalves];
    for (int r = 0; r < rows; ++r) y[r][0] = y[r][1] = _mm256_setzero_ps();
    for (int64_t u = 0; u < units; ++u, unit += kUnitBytes, x += kUnit) {
      if constexpr (rows == 1)
        for (size_t line = 0; line < kUnitBytes; line += 64)
          _mm_prefetch(reinterpret_cast<const char*>(unit + kAhead + line), _MM_HINT_T0);
#pragma GCC unroll 4
      for (int g = 0; g < kPerUnit; ++g) {
        __m256i sums[rows][kHalves];
        multiply<rows>(unit + kHeader, g, table, x, width, sums);
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) {
          const LowBitGroup& group = groups[r * group_count + u * kPerUnit + g];
          const __m256 group_scale = _mm256_set1_ps(group.scale), sum = _mm256_set1_ps(group.sum),
                       less = _mm256_set1_ps(zero * group.sum);
#pragma GCC unroll 2
          for (int h = 0; h < kHalves; ++h) {
            const uint8_t* scales = unit + (g * kStrip + h * kLanes) * 2;
            y[r][h] = _mm256_fmadd_ps(_mm256_fmsub_ps(_mm256_cvtepi32_ps(sums[r][h]), group_scale, less),
                                      halves(scales), y[r][h]);
            if constexpr (kOffsets) y[r][h] = _mm256_fnmadd_ps(halves(scales + kScaleBytes), sum, y[r][h]);
          }
        }
      }
    }
    store<rows>(shape, args, strip, first, y);
  }

  template <int rows>
  static void store(const LowBitShape& shape, const LowBitArgs& args, int64_t strip, int64_t first,
                    const __m256 (&y)[rows][kHalves]) {
    const int64_t o = strip * kStrip;
    for (int h = 0; h < kHalves; ++h) {
      const __m256i lanes =
          _mm256_cmpgt_epi32(_mm256_set1_epi32(int(std::min<int64_t>(kStrip, shape.outputs - o)) - h * kLanes),
                             _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      for (int r = 0; r < rows; ++r) {
        const int64_t at = (first + r) * shape.outputs + o + h * kLanes;
        __m256 sum = y[r][h];
        if (args.bias) sum = _mm256_add_ps(sum, _mm256_maskload_ps(args.bias + o + h * kLanes, lanes));
        if (args.residual) sum = _mm256_add_ps(sum, _mm256_maskload_ps(args.residual + at, lanes));
        _mm256_maskstore_ps(args.y + at, lanes, sum);
      }
    }
  }
};

float largest(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

int sum_of(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

void quantize(const LowBitShape& shape, const float* x, int8_t* values, LowBitGroup* groups) {
  for (int64_t first = 0; first < shape.units() * kUnit; first += 32) {
    float rest[32] = {};  // where fewer than 32 are left
    const float* from = x + first;
    if (const int64_t count = std::clamp<int64_t>(shape.inputs - first, 0, 32); count < 32) {
      std::copy_n(from, count, rest);
      from = rest;
    }
    __m256 part[4], most = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      part[i] = _mm256_loadu_ps(from + 8 * i);
      most = _mm256_max_ps(most, _mm256_andnot_ps(_mm256_set1_ps(-0.f), part[i]));
    }
    const float top = largest(most), scale = top / 127;
    const __m256 inverse = _mm256_set1_ps(top > 0 ? 127 / top : 0);
    __m256i whole[4];
    for (int i = 0; i < 4; ++i) whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(part[i], inverse));
    // Both packs work within halves of a register; the last permutation puts groups of four in order.
    const __m256i bytes =
        _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]), _mm256_packs_epi32(whole[2], whole[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + first),
                        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
    const float a = scale * float(sum_of(_mm256_add_epi32(whole[0], whole[1]))),
                b = scale * float(sum_of(_mm256_add_epi32(whole[2], whole[3])));
    if (shape.group == 32) {
      groups[first / 32] = {scale, a + b};
    } else {
      groups[first / 16] = {scale, a};
      groups[first / 16 + 1] = {scale, b};
    }
  }
}

}  // namespace

extern const LowBitKernel low_bit_avx2;
const LowBitKernel low_bit_avx2{"low_bit_avx2", "avx2", supported, quantize, run};

}  // namespace pare
