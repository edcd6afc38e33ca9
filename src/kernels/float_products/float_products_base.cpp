#include "kernels/cpu.h"
#include "kernels/float_products/loops.h"

namespace pare {

extern const FloatProductsKernel float_products_base;
const FloatProductsKernel float_products_base{"float_products_scalar", "scalar", runs_anywhere, kTileFloat, kTileDouble};

}  // namespace pare
