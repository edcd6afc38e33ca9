// The tile of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include "kernels/float_products/float_products.h"

namespace pare {
namespace {

// Accumulators are rows x 2 registers; what is left of the 32 (or 16) holds two vectors of b and one element of a.
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kTileRows = 12;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kTileRows = 6;
#else
constexpr int kVectorBytes = 16, kTileRows = 6;
#endif

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};

template <class T>
void add_tile(const T* a, const T* b, int64_t k, T* c, int64_t pitch) {
  using Vector = typename VectorOf<T>::type;
  constexpr int64_t lanes = kVectorBytes / sizeof(T);
  Vector sum[kTileRows][2] = {};
  for (int64_t i = 0; i < k; ++i, a += kTileRows, b += 2 * lanes) {
    const Vector left = *reinterpret_cast<const Vector*>(b), right = *reinterpret_cast<const Vector*>(b + lanes);
#pragma GCC unroll 12
    for (int r = 0; r < kTileRows; ++r) {
      sum[r][0] += left * a[r];
      sum[r][1] += right * a[r];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kTileRows; ++r) {
    *reinterpret_cast<Vector*>(c + r * pitch) += sum[r][0];
    *reinterpret_cast<Vector*>(c + r * pitch + lanes) += sum[r][1];
  }
}

constexpr ProductTile<float> kTileFloat{kTileRows, 2 * kVectorBytes / 4, add_tile<float>};
constexpr ProductTile<double> kTileDouble{kTileRows, 2 * kVectorBytes / 8, add_tile<double>};

}  // namespace
}  // namespace pare
