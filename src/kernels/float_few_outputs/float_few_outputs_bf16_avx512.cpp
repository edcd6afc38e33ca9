#include "kernels/cpu.h"
#include "kernels/float_few_outputs/loops.h"

namespace pare {
namespace {

// A register holds sixteen channels of two neighbours.
struct BrainPairs {
  using Element = uint16_t;
  using Value = __m512i;
  static constexpr int kTogether = 2;
  static Value values(const Element* x) { return _mm512_loadu_si512(x); }
  static Value one(const Element* x) { return _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))); }
  static Floats multiply_add(Floats sum, Value x, Value w) { return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)w); }
  static void total(Floats sum, float (&y)[2]) {
    // Both halves at once; each sum ends up in the lane that begins its half.
    __m512 all = (__m512)sum;
    all = _mm512_add_ps(all, _mm512_shuffle_f32x4(all, all, 0b10110001));
    all = _mm512_add_ps(all, _mm512_permute_ps(all, 0b01001110));
    all = _mm512_add_ps(all, _mm512_permute_ps(all, 0b10110001));
    y[0] = _mm512_cvtss_f32(all);
    y[1] = _mm256_cvtss_f32(_mm512_extractf32x8_ps(all, 1));
  }
};

}  // namespace

extern const FewOutputsKernel float_few_outputs_bf16_avx512;
const FewOutputsKernel float_few_outputs_bf16_avx512{"float_few_outputs_bf16_avx512", "avx512bf16", runs_avx512_bf16, kVector, 16, 2, run_few_outputs<BrainPairs>};

}  // namespace pare
