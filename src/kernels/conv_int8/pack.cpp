// Weights in the order a tile reads them. Under one output pixel the kernel covers runs of contiguous input bytes:
// a whole kernel row (kernel_w * in_c bytes) where taps touch, else one tap (in_c / groups bytes). A run is cut into
// steps of 4 bytes, the last one filled up with zero weights. Layout, each step being lanes x 4 bytes:
//   [conv group][block][run][step][vector of the block][lane][4]   s8

#include <algorithm>
#include <cstring>

#include "kernels/conv_int8/blocks.h"
#include "kernels/conv_int8/conv_int8.h"
#include "kernels/conv_int8/join_steps.h"

namespace pare {
namespace {

// Offset of one weight: input channel of the group and tap to run and byte in the run.
struct WeightPlace {
  int run;
  int byte;
};

WeightPlace place(const ConvInt8Shape& shape, bool whole_rows, int channel, int row, int col) {
  const int in_c = shape.in_c / shape.groups;
  if (whole_rows) return {row, col * in_c + channel};
  return {row * shape.kernel_w + col, channel};
}

void cut_runs(PackedConvInt8& packed, bool whole_rows) {
  const ConvInt8Shape& shape = packed.shape;
  const int in_c = shape.in_c / shape.groups;
  packed.run_bytes = whole_rows ? shape.kernel_w * in_c : in_c;
  packed.steps = (packed.run_bytes + kConvInt8Step - 1) / kConvInt8Step;
  const bool padded = shape.pad_top || shape.pad_left || shape.pad_bottom || shape.pad_right;
  const bool together = shape.groups == 1 || !whole_rows;  // in the input no other group's channels lie in between
  packed.direct = !padded && !packed.input_signed && packed.run_bytes % kConvInt8Step == 0 && together;
  const std::ptrdiff_t col_bytes = packed.direct ? shape.in_c : in_c;
  const std::ptrdiff_t row_bytes = col_bytes * (shape.in_w + shape.pad_left + shape.pad_right);
  for (int row = 0; row < shape.kernel_h; ++row) {
    for (int col = 0; col < (whole_rows ? 1 : shape.kernel_w); ++col) {
      packed.run_offsets.push_back(row * shape.dilation_h * row_bytes + col * shape.dilation_w * col_bytes);
    }
  }
  if (packed.direct) return;
  // 64 bytes more, because the last step may pass the end.
  const std::size_t rows =
      std::size_t(packed.tiling.band_rows - 1) * shape.stride_h + shape.dilation_h * (shape.kernel_h - 1) + 1;
  packed.scratch_bytes = (rows * row_bytes + 127) / 64 * 64;
}

void pack_weights(PackedConvInt8& packed, const ConvInt8Kernel& kernel, const ConvInt8Weights& source,
                  bool whole_rows) {
  const ConvInt8Shape& shape = packed.shape;
  const int in_c = shape.in_c / shape.groups;
  const int out_c = shape.out_c / shape.groups;
  const ConvInt8Blocks blocks = conv_int8_blocks(packed, kernel.lanes);
  packed.weights.assign(blocks.vector_bytes * blocks.vectors * shape.groups / sizeof(Int8Line) + 1, Int8Line{});
  packed.bias.assign(sizeof(std::int32_t) * blocks.vectors * kernel.lanes * shape.groups / sizeof(Int8Line) + 1,
                     Int8Line{});
  std::uint8_t* weights = packed.weights.front().bytes;
  std::int32_t* bias = reinterpret_cast<std::int32_t*>(packed.bias.front().bytes);
  const std::int8_t* from = source.weights;
  for (int oc = 0; oc < shape.out_c; ++oc) {
    const int group = oc / out_c;
    const int vector = oc % out_c / kernel.lanes;
    const int lane = oc % out_c % kernel.lanes;
    const int block = blocks.block_of(vector);
    const int width = blocks.begin(block + 1) - blocks.begin(block);
    std::uint8_t* base = weights + blocks.vector_bytes * (std::size_t(group) * blocks.vectors + blocks.begin(block)) +
                         std::size_t(vector - blocks.begin(block)) * kernel.lanes * 4;
    std::int64_t sum = 0;
    for (int ic = 0; ic < in_c; ++ic) {
      for (int row = 0; row < shape.kernel_h; ++row) {
        for (int col = 0; col < shape.kernel_w; ++col) {
          const std::int8_t weight = *from++;
          const WeightPlace at = place(shape, whole_rows, ic, row, col);
          const std::size_t step = std::size_t(at.run) * packed.steps + at.byte / kConvInt8Step;
          std::uint8_t* to = base + (step * width * kernel.lanes + lane) * 4;
          to[at.byte % kConvInt8Step] = static_cast<std::uint8_t>(weight);
          sum += weight;
        }
      }
    }
    bias[(group * blocks.vectors + vector) * kernel.lanes + lane] =
        static_cast<std::int32_t>((source.bias ? source.bias[oc] : 0) - packed.input_zero * sum);
  }
}

}  // namespace

PackedConvInt8 pack_conv_int8(const ConvInt8Kernel& kernel, const ConvInt8Shape& original,
                              const ConvInt8Weights& weights, const ConvInt8Tiling& tiling) {
  const ConvInt8Shape shape = fold_conv_int8(original);
  PackedConvInt8 packed;
  packed.shape = shape;
  packed.tiling = tiling;
  packed.tiling.vectors = std::clamp(tiling.vectors, 1, kernel.max_vectors);
  packed.tiling.pixels = std::clamp(tiling.pixels, 1, kernel.max_pixels(packed.tiling.vectors));
  packed.tiling.band_rows = std::clamp(tiling.band_rows, 1, shape.out_h());
  packed.input_signed = weights.input_signed;
  packed.input_zero = weights.input_zero + (weights.input_signed ? 128 : 0);
  // Rows of taps are contiguous if the taps touch: in the input, and with several groups in the copy of one group's
  // channels.
  const bool whole_rows = shape.dilation_w == 1 && (shape.kernel_w > 1 || shape.groups == 1);
  cut_runs(packed, whole_rows);
  pack_weights(packed, kernel, weights, whole_rows);
  if (kernel.pairs) join_steps(packed, kernel.lanes, weights.without_zeros);
  return packed;
}

PackedConvInt8 pack_conv_int8(const ConvInt8Kernel& kernel, const ConvInt8Shape& shape,
                              const ConvInt8Weights& weights) {
  return pack_conv_int8(kernel, shape, weights, conv_int8_tilings(kernel, shape).front());
}

}  // namespace pare
