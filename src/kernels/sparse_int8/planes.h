#pragma once
// The transposed input of the planes form: for each input channel the bytes of its pixels next to each other, padding
// included, row by row. A tap of the kernel then is a distance that is the same for all pixels. With strides there are
// planes of their own for each phase: the rows and columns that leave the same remainder.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/sparse_int8/sparse_int8.h"

namespace pare {

constexpr int kSparseInt8Positions = 32;  // of a plane, computed together

struct SparseInt8Planes {
  struct Phase {
    int row, col;  // remainders, of padded coordinates
  };
  std::vector<Phase> phases;  // those that taps read
  int channels = 0;           // planes of a phase: the input's, in whole blocks of 16
  int width = 0;              // positions of a row
  int rows = 0;               // under a band of output rows
  std::ptrdiff_t pitch = 0;   // bytes from one plane to the next

  SparseInt8Planes(const ConvInt8Shape& shape, int band_rows);
  int phase_of(int row, int col) const;  // -1: no tap reads it
  std::size_t bytes() const { return phases.size() * std::size_t(channels) * std::size_t(pitch); }
};

// Output rows of a band of planes.
int sparse_int8_plane_rows(const ConvInt8Shape& shape);
// The quads of a layer whose shape, band_rows, input_signed and input_zero are set; its bias, and the scratch it needs.
void pack_sparse_int8_planes(const ConvInt8Weights& weights, PackedSparseInt8& packed);

}  // namespace pare
