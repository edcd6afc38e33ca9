#include "kernels/float_products/loops.h"

namespace pare {
namespace {

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace

extern const FloatProductsKernel float_products_avx2;
const FloatProductsKernel float_products_avx2{"float_products_avx2", "avx2", supported, kTileFloat, kTileDouble};

}  // namespace pare
