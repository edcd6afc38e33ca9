#pragma once
// Products of matrices in float and double, for what solvers do with weights and statistics. Sums run in an order that
// depends on the tile, so results agree between instruction sets within rounding; on one of them they are repeatable, with
// any number of threads.

#include <cstdint>
#include <span>

namespace pare {

// c[rows][cols] += Σ over k of a[k][rows]·b[k][cols]: a and b packed (k outermost), c with `pitch` elements a row.
template <class T>
struct ProductTile {
  int64_t rows, cols;
  void (*add)(const T* a, const T* b, int64_t k, T* c, int64_t pitch);
};

struct FloatProductsKernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  ProductTile<float> f32;
  ProductTile<double> f64;
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const FloatProductsKernel> float_products_kernels();
const FloatProductsKernel& best_float_products_kernel();

// A matrix anywhere in memory: element (i, j) is data[i·row + j·col].
template <class T>
struct MatrixView {
  const T* data;
  int64_t row, col;
};

// c (m x n, `pitch` elements a row) += factor·a·b, with a m x k and b k x n. `upper`: only what lies on or above the
// diagonal of c is promised to be right. Runs on all threads.
template <class T>
struct Product {
  MatrixView<T> a, b;
  T* c;
  int64_t pitch, m, n, k;
  T factor = 1;
  bool upper = false;
};
void add_product(const Product<float>& product, const FloatProductsKernel& kernel = best_float_products_kernel());
void add_product(const Product<double>& product, const FloatProductsKernel& kernel = best_float_products_kernel());

}  // namespace pare
