// Products of pairs: two neighbours along the sums' axis lie in one lane.
#include "kernels/cpu.h"
#include "kernels/float_attention/loops.h"

namespace pare {
namespace {

// Two numbers of bfloat16; where matrices are said to hold floats, their lanes are such pairs.
struct BrainPair {
  uint32_t bits;
};
inline Floats load(const BrainPair* from) { return *reinterpret_cast<const Floats*>(from); }
inline Floats add_product(Floats sum, float a, Floats b, const BrainPair*) {
  return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_ps(a), (__m512bh)b);
}

__mmask16 mask_of(int64_t lanes) { return lanes >= 16 ? __mmask16(0xffff) : __mmask16((1u << std::max<int64_t>(lanes, 0)) - 1); }

// 32 numbers from `from` on as 16 pairs; zeros behind the first `count`.
__m512i pairs_of(const float* from, int64_t count) {
  const __m512 low = _mm512_maskz_loadu_ps(mask_of(count), from), high = _mm512_maskz_loadu_ps(mask_of(count - 16), from + 16);
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

// Rows of numbers as rows of `pitch` pairs, a multiple of 16.
void pack_rows(const float* from, int64_t stride, int64_t rows, int64_t count, float* to, int64_t pitch) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t p = 0; p < pitch; p += 16) _mm512_store_si512(to + r * pitch + p, pairs_of(from + r * stride + 2 * p, count - 2 * p));
}

// Keys as columns of pairs, [pairs][columns]; zeros behind the last one.
void pack_keys(const FloatAttention& job, float* to, int64_t pairs, int64_t columns) {
  for (int64_t first = 0; first < columns; first += 16)
    for (int64_t p = 0; p < pairs; p += 16) {
      Ints square[16];
      for (int64_t i = 0; i < 16; ++i) {
        const bool there = first + i < job.keys;
        square[i] = there ? (Ints)pairs_of(job.key + (first + i) * job.key_stride + 2 * p, job.width - 2 * p) : Ints{};
      }
      transpose_square(square);
      for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(to + (p + i) * columns + first, (__m512i)square[i]);
    }
}

// Rows of values two by two, [keys / 2][width]; zeros behind the last one.
void pack_values(const FloatAttention& job, float* to, int64_t width) {
  const auto* value = static_cast<const float*>(job.value);
  for (int64_t t = 0; t < job.keys; t += 2, to += width)
    for (int64_t j = 0; j < width; j += 16) {
      const __mmask16 mask = mask_of(job.value_width - j), second = t + 1 < job.keys ? mask : __mmask16(0);
      const float* from = value + t * job.value_stride + j;
      const __m256i a = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, from)), b = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(second, from + job.value_stride));
      _mm512_store_si512(to + j, _mm512_or_si512(_mm512_cvtepu16_epi32(a), _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16)));
    }
}

int64_t whole(int64_t n) { return (n + 15) / 16 * 16; }

void attend_in_pairs(const FloatAttention& job) {
  const int64_t columns = whole(job.keys), pairs = whole((job.width + 1) / 2), width = whole(job.value_width), steps = (job.keys + 1) / 2, weight_pitch = whole((columns + 1) / 2);
  float *keys = job.scratch, *query = keys + pairs * columns, *scores = query + pairs * job.rows, *factors = scores + columns * job.rows;
  float *weights = factors + whole(job.rows), *values = weights + job.rows * weight_pitch, *result = values + steps * width;
  pack_keys(job, keys, pairs, columns);
  pack_rows(job.query, job.query_stride, job.rows, job.width, query, pairs);
  const auto paired = [](const float* at, int64_t pitch) { return Matrix<BrainPair>{reinterpret_cast<const BrainPair*>(at), pitch}; };
  multiply(job.rows, columns, (job.width + 1) / 2, Matrix<float>{query, pairs}, paired(keys, columns), nullptr, scores, columns);
  for (int64_t r = 0; r < job.rows; ++r)
    factors[r] = exponentials(scores + r * columns, job.mask ? job.mask + r * job.mask_stride : nullptr, job.scale, scores + r * columns, job.keys);
  pack_rows(scores, columns, job.rows, job.keys, weights, weight_pitch);
  pack_values(job, values, width);
  const bool straight = width == job.value_width;
  multiply(job.rows, width, steps, Matrix<float>{weights, weight_pitch}, paired(values, width), factors, straight ? job.output : result, straight ? job.output_stride : width);
  for (int64_t r = 0; r < job.rows && !straight; ++r) std::memcpy(job.output + r * job.output_stride, result + r * width, size_t(job.value_width) * sizeof(float));
}

}  // namespace

extern const FloatAttentionKernel float_attention_bf16_avx512;
const FloatAttentionKernel float_attention_bf16_avx512{"float_attention_bf16_avx512", "avx512bf16", runs_avx512_bf16, 16, attend_in_pairs};

}  // namespace pare
