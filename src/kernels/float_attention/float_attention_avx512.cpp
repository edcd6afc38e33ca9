#include "kernels/cpu.h"
#include "kernels/float_attention/loops.h"

namespace pare {

extern const FloatAttentionKernel float_attention_avx512;
const FloatAttentionKernel float_attention_avx512{"float_attention_avx512", "avx512", runs_avx512, 32, attend};

}  // namespace pare
