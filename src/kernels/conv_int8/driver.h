#pragma once
// The loops around a tile, the same for every instruction set. Only for the conv_int8_*.cpp files: `Isa` must be a type
// of an unnamed namespace, so that no instruction set's code is shared with another file. Isa provides
//   kLanes             as in ConvInt8Kernel
//   kMaxVectors, max_pixels(vectors), max_quads(vectors)
//   kTiles             most neighbouring tiles of one size that run() takes at once
//   max_row_quads(vectors)  quads of a row tile, 0 if there are none
//   copy, fill: see conv_int8/bands.h
//   Tiles: a type whose run() computes and writes tiles

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/conv_int8/bands.h"
#include "kernels/conv_int8/blocks.h"
#include "kernels/conv_int8/conv_int8.h"

namespace pare {

constexpr int kMaxTilePixels = 32;
constexpr int kMaxJobPixels = 48;  // of tiles that run at once

// Part of a ConvInt8StepList.
struct ConvStepsJob {
  const std::ptrdiff_t* offsets;  // bytes from a pixel's first input byte
  int steps;
  const std::uint8_t* weights;
};

// sums[pixel][vector][lane] = bias + sum over runs, steps and group of input x weight.
struct ConvTileJob {
  const std::uint8_t* pixels[kMaxJobPixels];  // first input byte of each pixel, or of each quad of pixels
  std::ptrdiff_t quad_step;                   // bytes between the pixels of a quad
  const std::ptrdiff_t* run_offsets;          // bytes from a pixel's first input byte
  int runs;
  int steps;
  const std::uint8_t* weights;
  ConvStepsJob joined[kConvInt8Joins], wide;  // instead of runs and weights, for kernels of pairs
  const std::int32_t* bias;
  std::int32_t* sums;  // room for a tile
};

// How a tile's pixels are given: one by one, every fourth of neighbours, or the first of a row of neighbours whose
// three columns of taps overlap.
enum class ConvTilePixels { single, quads, row };

// Where the output of a tile goes, or of neighbouring tiles.
struct ConvTileOutput {
  std::size_t pixel;  // index in [batch][out_h][out_w], of the first tile
  int pixels, vectors;
  int channel;              // first output channel, of all groups
  int channels;             // valid channels of the vectors
  int pitch;                // elements between neighbouring output pixels
  const float* multiplier;  // of the vectors, filled up
  int tiles = 1;
};

template <class Isa>
class ConvInt8Driver {
 public:
  static void run(const PackedConvInt8& packed, const ConvInt8Args& args, int thread, int threads) {
    ConvInt8Driver driver(packed, args);
    driver.run_share(thread, threads);
  }

 private:
  ConvInt8Driver(const PackedConvInt8& packed, const ConvInt8Args& args)
      : packed_(packed),
        shape_(packed.shape),
        args_(args),
        tiles_(args, packed.shape.out_c),
        blocks_(conv_int8_blocks(packed, Isa::kLanes)),
        bands_(packed, args),
        in_c_(shape_.in_c / shape_.groups) {}

  void run_share(int thread, int threads) {
    const std::int64_t out_h = shape_.out_h();
    const std::int64_t rows = shape_.batch * out_h;
    const std::size_t input_bytes = std::size_t(shape_.batch) * shape_.in_h * shape_.in_w * shape_.in_c;
    const bool prefer_rows = input_bytes > blocks_.vector_bytes * blocks_.vectors * shape_.groups;
    const ConvInt8Share share = conv_int8_share(blocks_, rows, prefer_rows, thread, threads);
    if (share.block_begin == share.block_end) return;
    for (int group = 0; group < shape_.groups; ++group) {
      for (std::int64_t row = share.row_begin; row < share.row_end;) {
        const std::int64_t image = row / out_h;
        const std::int64_t end = std::min({share.row_end, (image + 1) * out_h, row + packed_.tiling.band_rows});
        const ConvInt8Band band = bands_.prepare(group, static_cast<int>(image), static_cast<int>(row - image * out_h),
                                                 static_cast<int>(end - row));
        for (int block = share.block_begin; block < share.block_end; ++block) run_block(band, group, block);
        row = end;
      }
    }
  }

  void run_block(const ConvInt8Band& band, int group, int block) {
    const int first = blocks_.begin(block);
    const int vectors = blocks_.begin(block + 1) - first;
    const int out_c = shape_.out_c / shape_.groups;
    const int channel = group * out_c + first * Isa::kLanes;
    const int channels = std::min(vectors * Isa::kLanes, out_c - first * Isa::kLanes);
    alignas(64) float multiplier[Isa::kMaxVectors * Isa::kLanes] = {};
    std::memcpy(multiplier, args_.epilogue.multiplier + channel, sizeof(float) * channels);
    alignas(64) std::int32_t sums[(kMaxTilePixels + 4) * Isa::kMaxVectors * Isa::kLanes];

    ConvTileJob job;
    job.run_offsets = packed_.run_offsets.data();
    job.runs = static_cast<int>(packed_.run_offsets.size());
    job.steps = packed_.steps;
    const std::size_t vector = std::size_t(group) * blocks_.vectors + first;
    if (packed_.weights.empty()) {
      for (int i = 0; i < kConvInt8Joins; ++i) job.joined[i] = steps_of(packed_.joined[i], group, block);
      job.wide = steps_of(packed_.wide, group, block);
    } else {
      job.weights = packed_.weights.front().bytes + blocks_.vector_bytes * vector;
    }
    job.bias = reinterpret_cast<const std::int32_t*>(packed_.bias.front().bytes) + vector * Isa::kLanes;
    job.sums = sums;
    const int pitch = args_.epilogue.pitch > 0 ? args_.epilogue.pitch : shape_.out_c;
    ConvTileOutput out{band.pixel, 0, vectors, channel, channels, pitch, multiplier};
    run_tiles(band, job, out);
  }

  ConvStepsJob steps_of(const ConvInt8StepList& list, int group, int block) const {
    const ConvInt8Steps* begin = &list.begins[std::size_t(group) * blocks_.count + block];
    return {list.offsets.data() + begin->step, static_cast<int>(begin[1].step - begin->step),
            list.weights.front().bytes + begin->byte};
  }

  // Pixels of a band in tiles: rows or quads of neighbours where the shape allows, single pixels else.
  void run_tiles(const ConvInt8Band& band, ConvTileJob& job, ConvTileOutput& out) {
    const int out_w = shape_.out_w();
    const bool quads = out_w == 1 || out_w % 4 == 0;
    const bool taps_overlap =
        shape_.kernel_w == 3 && shape_.stride_w == 1 && packed_.run_bytes == 3 * in_c_ && in_c_ % kConvInt8Step == 0;
    job.quad_step = out_w == 1 ? band.row_step : band.col_step;
    int done = 0;
    if (const int most = Isa::max_row_quads(out.vectors); most > 0 && out_w % 4 == 0 && taps_overlap) {
      for (; done < band.pixels; done += out_w) cut(band, job, out, done, out_w / 4, most, ConvTilePixels::row);
    } else if (const int most_quads = Isa::max_quads(out.vectors); most_quads > 0 && quads) {
      cut(band, job, out, 0, band.pixels / 4, std::min(most_quads, std::max(1, packed_.tiling.pixels / 4)),
          ConvTilePixels::quads);
      done = band.pixels / 4 * 4;
    }
    const int most = Isa::max_pixels(out.vectors);
    const bool as_tuned = out.vectors == packed_.tiling.vectors;
    cut(band, job, out, done, band.pixels - done, as_tuned ? std::min(packed_.tiling.pixels, most) : most,
        ConvTilePixels::single);
  }

  // `units` pixels (or quads) from pixel `first` in tiles of nearly equal size, `most` units at most.
  void cut(const ConvInt8Band& band, ConvTileJob& job, ConvTileOutput& out, int first, int units, int most,
           ConvTilePixels form) {
    if (units == 0) return;
    const int tiles = (units + most - 1) / most, size = units / tiles, larger = units % tiles;
    first = run_tiles(band, job, out, first, size + 1, larger, form);
    run_tiles(band, job, out, first, size, tiles - larger, form);
  }

  // Tiles of `units` pixels (or quads) from pixel `first`; returns the pixel behind them.
  int run_tiles(const ConvInt8Band& band, ConvTileJob& job, ConvTileOutput& out, int first, int units, int tiles,
                ConvTilePixels form) {
    const int step = form == ConvTilePixels::single ? 1 : 4;
    out.pixels = units * step;
    for (; tiles > 0; tiles -= out.tiles, first += out.tiles * out.pixels) {
      out.tiles = std::min(tiles, Isa::kTiles);
      out.pixel = band.pixel + first;
      bands_.point(band, job.pixels, first, form == ConvTilePixels::row ? 1 : out.tiles * units, step);
      tiles_.run(job, out, form);
    }
    return first;
  }

  const PackedConvInt8& packed_;
  const ConvInt8Shape& shape_;
  const ConvInt8Args& args_;
  typename Isa::Tiles tiles_;
  ConvInt8Blocks blocks_;
  ConvInt8Bands<Isa, PackedConvInt8> bands_;
  int in_c_;
};

}  // namespace pare
