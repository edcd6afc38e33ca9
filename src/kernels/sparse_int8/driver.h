#pragma once
// The loops around a tile, the same for every instruction set. Only for the sparse_int8_*.cpp files: `Isa` must be a type of
// an unnamed namespace, so that no instruction set's code is shared with another file. Isa provides
//   kLanes                as in SparseInt8Kernel
//   copy, fill            see conv_int8/bands.h
//   gather(job), blocks<Together>(job)   the sums of a tile; no blocks where the row leaves them to a dense kernel
//   Finish(packed, args)  whose run(tile, block, channel, sums) writes a tile's outputs

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "kernels/conv_int8/bands.h"
#include "kernels/conv_int8/driver.h"
#include "kernels/sparse_int8/sparse_int8.h"

namespace pare {

constexpr int kMaxSparsePixels = 12;

// sums[pixel][lane] = bias + products, of all strips of a block.
struct SparseTileJob {
  const std::uint8_t* const* pixels;  // first input byte of each pixel
  int count;                          // of pixels
  const SparseInt8Strip* lists;       // of strips, or of strips together
  const SparseInt8Strip* lists_end;
  const SparseInt8Window* windows;  // of the layer
  const Int8Line* stream;           // of the layer
  const std::int32_t* bias;         // of the block
  std::int32_t* sums;
  int pitch;       // sums from one pixel to the next
  int run_bytes;   // bytes of a window that may be read, if fewer than the window has; else 0
};

template <class Isa>
class SparseInt8Driver {
 public:
  static void run(const PackedSparseInt8& packed, const ConvInt8Args& args, int thread, int threads) {
    SparseInt8Driver driver(packed, args);
    driver.run_share(thread, threads);
  }

 private:
  SparseInt8Driver(const PackedSparseInt8& packed, const ConvInt8Args& args)
      : packed_(packed),
        shape_(packed.shape),
        args_(args),
        bands_(packed, args),
        finish_(packed, args),
        pixels_(new const std::uint8_t*[std::size_t(packed.band_rows) * shape_.out_w()]) {}

  // Threads share the pixels where there are enough for tiles of full size, else the blocks, by their cost.
  void run_share(int thread, int threads) {
    const std::int64_t out_h = shape_.out_h(), rows = shape_.batch * out_h;
    const bool by_rows = rows >= threads && rows * shape_.out_w() >= std::int64_t{2} * threads * packed_.form.pixels;
    const std::int64_t begin = by_rows ? rows * thread / threads : 0;
    const std::int64_t end = by_rows ? rows * (thread + 1) / threads : rows;
    const int first = by_rows ? 0 : share_begin(thread, threads), last = by_rows ? packed_.blocks() : share_begin(thread + 1, threads);
    if (first == last) return;
    for (std::int64_t row = begin; row < end;) {
      const std::int64_t image = row / out_h;
      const std::int64_t next = std::min({end, (image + 1) * out_h, row + packed_.band_rows});
      const ConvInt8Band band =
          bands_.prepare(0, static_cast<int>(image), static_cast<int>(row - image * out_h), static_cast<int>(next - row));
      bands_.point(band, pixels_.get(), 0, band.pixels, 1);
      for (int block = first; block < last; ++block) run_block(band, block);
      row = next;
    }
  }

  int share_begin(int thread, int threads) const {
    const std::int64_t all = packed_.cost.back();
    int block = 0;
    while (block < packed_.blocks() && (packed_.cost[block] + packed_.cost[block + 1]) * threads < 2 * all * thread) ++block;
    return thread == threads ? packed_.blocks() : block;
  }

  void run_block(const ConvInt8Band& band, int block) {
    constexpr int kStrips = kSparseInt8Block / Isa::kLanes;
    const int channel = block * kSparseInt8Block;
    const int channels = std::min(kSparseInt8Block, shape_.out_c - channel);
    const int together = std::max(1, packed_.form.together);
    const int strips = (channels + together * Isa::kLanes - 1) / (together * Isa::kLanes) * together;
    alignas(64) float multiplier[kSparseInt8Block] = {};
    const std::uint8_t* lanes = &packed_.channel[std::size_t(block) * kSparseInt8Block];
    for (int i = 0; i < kSparseInt8Block; ++i) multiplier[i] = lanes[i] < channels ? args_.epilogue.multiplier[channel + lanes[i]] : 0;
    alignas(64) std::int32_t sums[kMaxSparsePixels * kSparseInt8Block];
    const int pitch = args_.epilogue.pitch > 0 ? args_.epilogue.pitch : shape_.out_c;
    ConvTileOutput out{0, 0, strips, channel, channels, pitch, multiplier};
    SparseTileJob job;
    job.run_bytes = packed_.direct && packed_.run_bytes < kSparseInt8Block ? packed_.run_bytes : 0;
    job.pitch = strips * Isa::kLanes;
    job.lists = &packed_.strips[std::size_t(block) * (kStrips / together)];
    job.lists_end = job.lists + strips / together;
    job.windows = packed_.windows.data();
    job.stream = packed_.stream.data();
    job.bias = reinterpret_cast<const std::int32_t*>(packed_.bias.front().bytes) + block * kSparseInt8Block;
    const int tiles = (band.pixels + packed_.form.pixels - 1) / packed_.form.pixels;
    for (int tile = 0; tile < tiles; ++tile) {
      const int begin = static_cast<int>(std::int64_t{band.pixels} * tile / tiles);
      job.count = static_cast<int>(std::int64_t{band.pixels} * (tile + 1) / tiles) - begin;
      job.pixels = pixels_.get() + begin;
      job.sums = sums;
      sum(job, together);
      out.pixel = band.pixel + begin;
      out.pixels = job.count;
      finish_.run(out, block, sums);
    }
  }

  void sum(const SparseTileJob& job, int together) const {
    if constexpr (requires { Isa::template blocks<1>(job); }) {
      if (packed_.form.together > 0) return together == 2 ? Isa::template blocks<2>(job) : Isa::template blocks<1>(job);
    }
    Isa::gather(job);
  }

  const PackedSparseInt8& packed_;
  const ConvInt8Shape& shape_;
  const ConvInt8Args& args_;
  ConvInt8Bands<Isa, PackedSparseInt8> bands_;
  typename Isa::Finish finish_;
  std::unique_ptr<const std::uint8_t*[]> pixels_;  // of a band
};

}  // namespace pare
