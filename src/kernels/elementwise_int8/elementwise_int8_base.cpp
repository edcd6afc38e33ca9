// Plain C++, and the only one in the `scalar` build.

#include "kernels/elementwise_int8/loops.h"
#include "kernels/elementwise_int8/moves.h"

namespace pare {
namespace {

bool supported() {
  return true;
}

}  // namespace

extern const ElementwiseInt8Kernel elementwise_int8_base;
const ElementwiseInt8Kernel elementwise_int8_base = {
    "elementwise_int8_base", "scalar", supported, quantize, dequantize, add, global_pool, pool, move, broadcast, resize};

}  // namespace pare
