#include "kernels/cpu.h"
#include "kernels/float_linear/loops.h"

namespace pare {
namespace {

// Pairs of bfloat16: a step multiplies two elements of a row with two rows of weights.
struct Brain {
  using Element = uint16_t;
  using Stored = uint16_t;
  using Weights = __m512i;
  static constexpr int kStep = 2;
  static constexpr FloatWeights kWeights = FloatWeights::bf16;
  static Weights weights(const Stored* w) { return _mm512_load_si512(w); }
  static Floats multiply_add(Floats sum, const Element* x, Weights w) {
    int32_t pair;
    std::memcpy(&pair, x, 4);
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)w);
  }
  static Floats load(const Element* x, int lanes) {
    const __m256i bits = _mm256_maskz_loadu_epi16(mask_of(lanes), x);
    return (Floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);
  }
  static void store(Element* y, Floats v, int lanes) { _mm256_mask_storeu_epi16(y, mask_of(lanes), (__m256i)_mm512_cvtneps_pbh((__m512)v)); }
};

}  // namespace

extern const FloatLinearKernel float_linear_avx512, float_linear_f16_weights_avx512, float_linear_bf16_weights_avx512,
    float_linear_bf16_avx512;
const FloatLinearKernel float_linear_avx512 = linear_row<Single>("float_linear_avx512", "avx512", runs_avx512);
const FloatLinearKernel float_linear_f16_weights_avx512 = linear_row<HalfWeights>("float_linear_f16_weights_avx512", "avx512", runs_avx512);
const FloatLinearKernel float_linear_bf16_weights_avx512 = linear_row<BrainWeights>("float_linear_bf16_weights_avx512", "avx512", runs_avx512);
const FloatLinearKernel float_linear_bf16_avx512 = linear_row<Brain>("float_linear_bf16_avx512", "avx512bf16", runs_avx512_bf16);

}  // namespace pare
