#include "kernels/float_attention/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FloatAttentionKernel float_attention_base;
const FloatAttentionKernel float_attention_base{"float_attention_scalar", "scalar", supported, attend};

}  // namespace pare
