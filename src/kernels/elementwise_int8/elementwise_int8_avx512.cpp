// The loops of loops.h, vectorised for AVX-512 by the compiler.

#include "kernels/elementwise_int8/loops.h"
#include "kernels/int8_epilogue/lookup_avx512.h"
#define PARE_LOOKUP_64 looked_up
#include "kernels/elementwise_int8/moves.h"

namespace pare {
namespace {

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

}  // namespace

extern const ElementwiseInt8Kernel elementwise_int8_avx512;
const ElementwiseInt8Kernel elementwise_int8_avx512 = {
    "elementwise_int8_avx512", "avx512", supported, quantize, dequantize, add, global_pool, pool, move, broadcast, resize};

}  // namespace pare
