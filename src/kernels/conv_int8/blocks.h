#pragma once
// Output channels in vectors, vectors in blocks; work in shares of threads.

#include <cstddef>
#include <cstdint>

#include "kernels/conv_int8/conv_int8.h"

namespace pare {

// A 1x1 convolution without stride or padding is a matrix product: all pixels become rows of one column, so that tiles
// may cross the ends of rows and images.
ConvInt8Shape fold_conv_int8(const ConvInt8Shape& shape);

// Input bytes a band may read: with the weights of one block it should stay in a 48 KB L1.
constexpr int kConvInt8BandBytes = 24 * 1024;
// Output rows of a band that reads about `bytes` of a (folded) shape's input.
int conv_int8_band_rows(const ConvInt8Shape& shape, int bytes = kConvInt8BandBytes);

// The vectors of one convolution group, cut into blocks of nearly equal size.
struct ConvInt8Blocks {
  int vectors = 0;
  int count = 0;
  std::size_t vector_bytes = 0;  // weights of one vector: runs * steps * lanes * 4

  int begin(int block) const { return static_cast<int>(static_cast<std::int64_t>(block) * vectors / count); }
  int block_of(int vector) const {
    int block = static_cast<int>(static_cast<std::int64_t>(vector) * count / vectors);
    while (begin(block + 1) <= vector) ++block;
    while (begin(block) > vector) --block;
    return block;
  }
};

ConvInt8Blocks conv_int8_blocks(const PackedConvInt8& packed, int lanes);

// What one thread computes: output rows (of all images, or pixels if flat) and blocks of every group.
struct ConvInt8Share {
  std::int64_t row_begin, row_end;
  int block_begin, block_end;
};

ConvInt8Share conv_int8_share(const ConvInt8Blocks& blocks, std::int64_t rows, bool prefer_rows, int thread,
                              int threads);

}  // namespace pare
