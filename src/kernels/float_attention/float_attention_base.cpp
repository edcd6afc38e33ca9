#include "kernels/cpu.h"
#include "kernels/float_attention/loops.h"

namespace pare {

extern const FloatAttentionKernel float_attention_base;
const FloatAttentionKernel float_attention_base{"float_attention_scalar", "scalar", runs_anywhere, 32, attend};

}  // namespace pare
