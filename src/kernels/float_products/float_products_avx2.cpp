#include "kernels/cpu.h"
#include "kernels/float_products/loops.h"

namespace pare {

extern const FloatProductsKernel float_products_avx2;
const FloatProductsKernel float_products_avx2{"float_products_avx2", "avx2", runs_avx2, kTileFloat, kTileDouble};

}  // namespace pare
