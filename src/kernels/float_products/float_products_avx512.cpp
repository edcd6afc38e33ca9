#include "kernels/float_products/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx512f"); }

}  // namespace

extern const FloatProductsKernel float_products_avx512;
const FloatProductsKernel float_products_avx512{"float_products_avx512", "avx512", supported, kTileFloat, kTileDouble};

}  // namespace pare
