#include "kernels/float_attention/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"); }

}  // namespace

extern const FloatAttentionKernel float_attention_avx512;
const FloatAttentionKernel float_attention_avx512{"float_attention_avx512", "avx512", supported, attend};

}  // namespace pare
