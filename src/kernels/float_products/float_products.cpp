// Any product as tiles: a block of b is packed once, then every thread takes rows of tiles.
#include "kernels/float_products/float_products.h"

#include <algorithm>
#include <vector>

#include "base/threads.h"

#define PARE_KERNEL_TYPE FloatProductsKernel
#define PARE_KERNELS float_products_kernels
#define PARE_KERNEL_ROWS "kernels/float_products/kernels.inc"
#include "kernels/rows.inc"

namespace pare {
namespace {

constexpr int64_t kDepth = 512;    // of k in a packed block: a tile of b (32 floats wide) takes 64 KB
constexpr int64_t kWidth = 2048;   // of n in a packed block: 4 MB, a share of the last cache

// `width` columns from `first`, [k][width], padded with zeros behind `columns`; `factor` times the elements.
template <class T>
void pack(const T* data, int64_t along_k, int64_t across, int64_t k, int64_t columns, int64_t width, T factor, T* packed) {
  for (int64_t i = 0; i < k; ++i, packed += width) {
    const T* at = data + i * along_k;
    for (int64_t j = 0; j < columns; ++j) packed[j] = factor * at[j * across];
    std::fill(packed + columns, packed + width, T(0));
  }
}

template <class T>
void add_edge(const ProductTile<T>& tile, const T* a, const T* b, int64_t k, T* c, int64_t pitch, int64_t rows, int64_t cols) {
  T whole[12 * 32] = {};
  tile.add(a, b, k, whole, tile.cols);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < cols; ++j) c[r * pitch + j] += whole[r * tile.cols + j];
}

// Waking threads pays only for some milliseconds of work: where other programs share the cores, each waits for the last.
constexpr double kParallelWork = 1e8;  // multiplications

template <class T>
void add_all(const Product<T>& p, const ProductTile<T>& tile) {
  const int64_t row_tiles = (p.m + tile.rows - 1) / tile.rows;
  std::vector<T> packed_b(size_t(std::min(p.k, kDepth) * ((std::min(p.n, kWidth) + tile.cols - 1) / tile.cols * tile.cols)));
  for (int64_t k0 = 0; k0 < p.k; k0 += kDepth)
    for (int64_t n0 = 0; n0 < p.n; n0 += kWidth) {
      const int64_t k = std::min(kDepth, p.k - k0), n = std::min(kWidth, p.n - n0), col_tiles = (n + tile.cols - 1) / tile.cols;
      const auto pack_b = [&](int64_t first, int64_t last) {
        for (int64_t t = first; t < last; ++t)
          pack(p.b.data + k0 * p.b.row + (n0 + t * tile.cols) * p.b.col, p.b.row, p.b.col, k, std::min(tile.cols, n - t * tile.cols), tile.cols, T(1), packed_b.data() + t * k * tile.cols);
      };
      const auto multiply = [&](int thread, int threads) {
        std::vector<T> packed_a(size_t(k * tile.rows));
        for (int64_t r = thread; r < row_tiles; r += threads) {  // in turns: above a diagonal the first rows have more to do
          const int64_t row = r * tile.rows, rows = std::min(tile.rows, p.m - row);
          const int64_t first = p.upper ? std::max<int64_t>(0, (row - n0) / tile.cols) : 0;
          if (first >= col_tiles) continue;
          pack(p.a.data + row * p.a.row + k0 * p.a.col, p.a.col, p.a.row, k, rows, tile.rows, p.factor, packed_a.data());
          for (int64_t t = first; t < col_tiles; ++t) {
            const int64_t cols = std::min(tile.cols, n - t * tile.cols);
            T* c = p.c + row * p.pitch + n0 + t * tile.cols;
            const T* b = packed_b.data() + t * k * tile.cols;
            if (rows == tile.rows && cols == tile.cols) tile.add(packed_a.data(), b, k, c, p.pitch);
            else add_edge(tile, packed_a.data(), b, k, c, p.pitch, rows, cols);
          }
        }
      };
      if (double(p.m) * double(n) * double(k) < kParallelWork) {
        pack_b(0, col_tiles);
        multiply(0, 1);
      } else {
        parallel_for(col_tiles, pack_b);
        run_parallel(multiply);
      }
    }
}

}  // namespace

const FloatProductsKernel& best_float_products_kernel() {
  const auto rows = float_products_kernels();
  return *std::find_if(rows.begin(), rows.end(), [](const FloatProductsKernel& row) { return row.supported(); });
}

void add_product(const Product<float>& product, const FloatProductsKernel& kernel) { add_all(product, kernel.f32); }
void add_product(const Product<double>& product, const FloatProductsKernel& kernel) { add_all(product, kernel.f64); }

}  // namespace pare
