#include "kernels/float_products/loops.h"

namespace pare {
namespace {

bool supported() { return true; }

}  // namespace

extern const FloatProductsKernel float_products_base;
const FloatProductsKernel float_products_base{"float_products_scalar", "scalar", supported, kTileFloat, kTileDouble};

}  // namespace pare
