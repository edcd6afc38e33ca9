#include "kernels/float_attention/loops.h"

namespace pare {
namespace {

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");  // every CPU with FMA has F16C, which clang cannot ask for
}

}  // namespace

extern const FloatAttentionKernel float_attention_avx2;
const FloatAttentionKernel float_attention_avx2{"float_attention_avx2", "avx2", supported, 32, attend};

}  // namespace pare
