// A square of floats in registers, turned; included only by files compiled for one instruction set.
#pragma once
#include <cstdint>

namespace pare {
namespace {

template <int kSize>
struct PlacesOf {
  typedef int32_t Type __attribute__((vector_size(kSize * 4)));
};

// Element l of the result is element which[l] of a and b side by side. Clang, which builds the fuzz targets, shuffles by
// constants only.
template <int kSize, class Row>
inline Row shuffled(Row a, Row b, typename PlacesOf<kSize>::Type which) {
#if defined(__clang__)
  Row result;
  for (int l = 0; l < kSize; ++l) result[l] = which[l] < kSize ? a[which[l]] : b[which[l] - kSize];
  return result;
#else
  return __builtin_shuffle(a, b, which);
#endif
}

// Rows become columns: in stage s, rows i and i + s exchange the elements whose index differs in bit s.
template <int kSize, class Row>
inline void transpose_square(Row (&rows)[kSize]) {
#pragma GCC unroll 4
  for (int stage = kSize / 2; stage >= 1; stage /= 2) {
    typename PlacesOf<kSize>::Type first, second;
#pragma GCC unroll 16
    for (int l = 0; l < kSize; ++l) {
      first[l] = (l & stage) == 0 ? l : kSize + (l ^ stage);
      second[l] = (l & stage) == 0 ? l ^ stage : kSize + l;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kSize; ++i) {
      if ((i & stage) != 0) continue;
      const Row a = rows[i], b = rows[i + stage];
      rows[i] = shuffled<kSize>(a, b, first);
      rows[i + stage] = shuffled<kSize>(a, b, second);
    }
  }
}

}  // namespace
}  // namespace pare
