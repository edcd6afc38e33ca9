// The loops of loops.h, vectorised for AVX2 by the compiler.

#include "kernels/elementwise_int8/loops.h"
#include "kernels/elementwise_int8/moves.h"

namespace pare {
namespace {

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

extern const ElementwiseInt8Kernel elementwise_int8_avx2;
const ElementwiseInt8Kernel elementwise_int8_avx2 = {
    "elementwise_int8_avx2", "avx2", supported, quantize, dequantize, add, global_pool, pool, move, broadcast, resize};

}  // namespace pare
