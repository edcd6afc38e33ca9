#include "kernels/conv_int8/blocks.h"

#include <algorithm>

namespace pare {
namespace {

// Every band reads all weights again. If they come from L3 (26 bytes a cycle, a line serves a pixel in half a cycle), a
// band of fewer pixels than this would wait for them.
constexpr int kBandPixels = 128;
constexpr std::int64_t kFarWeights = 256 * 1024;

}  // namespace

int conv_int8_band_rows(const ConvInt8Shape& shape, int bytes) {
  // Of one group's channels: with several groups a band is copied for each of them.
  const std::int64_t row_bytes = std::int64_t{shape.in_w + shape.pad_left + shape.pad_right} * (shape.in_c / shape.groups);
  const std::int64_t rows = bytes / std::max<std::int64_t>(1, row_bytes) - shape.dilation_h * (shape.kernel_h - 1);
  const std::int64_t weights =
      std::int64_t{shape.out_c} * (shape.in_c / shape.groups) * shape.kernel_h * shape.kernel_w;
  const std::int64_t least = weights > kFarWeights ? (kBandPixels + shape.out_w() - 1) / shape.out_w() : 1;
  const int fit = static_cast<int>(std::clamp<std::int64_t>(std::max(rows / shape.stride_h, least), 1, shape.out_h()));
  const int bands = (shape.out_h() + fit - 1) / fit;
  return (shape.out_h() + bands - 1) / bands;
}

ConvInt8Shape fold_conv_int8(const ConvInt8Shape& shape) {
  const bool padded = shape.pad_top || shape.pad_left || shape.pad_bottom || shape.pad_right;
  if (shape.kernel_h * shape.kernel_w != 1 || shape.stride_h * shape.stride_w != 1 || padded) return shape;
  ConvInt8Shape folded = shape;
  folded.in_h = shape.batch * shape.in_h * shape.in_w;
  folded.in_w = 1;
  folded.batch = 1;
  return folded;
}

ConvInt8Blocks conv_int8_blocks(const PackedConvInt8& packed, int lanes) {
  const ConvInt8Shape& shape = packed.shape;
  ConvInt8Blocks blocks;
  blocks.vectors = (shape.out_c / shape.groups + lanes - 1) / lanes;
  blocks.count = (blocks.vectors + packed.tiling.vectors - 1) / packed.tiling.vectors;
  blocks.vector_bytes = packed.run_offsets.size() * packed.steps * lanes * 4;
  return blocks;
}

ConvInt8Share conv_int8_share(const ConvInt8Blocks& blocks, std::int64_t rows, bool prefer_rows, int thread,
                              int threads) {
  // Cut rows in `across` parts and blocks in threads / across parts so that the largest part is smallest.
  int best = threads;
  double best_cost = 1e30;
  for (int across = 1; across <= threads; ++across) {
    if (threads % across != 0) continue;
    const int along = threads / across;
    const double row_part = static_cast<double>((rows + across - 1) / across) / static_cast<double>(rows);
    const double block_part = static_cast<double>((blocks.count + along - 1) / along) / blocks.count;
    // A tie goes to the side whose data is larger, so that each thread reads less of it.
    const double cost = row_part * block_part + 1e-6 * (prefer_rows ? along : across);
    if (cost < best_cost) {
      best_cost = cost;
      best = across;
    }
  }
  const int along = threads / best;
  const int row_part = thread / along;
  const int block_part = thread % along;
  return {rows * row_part / best, rows * (row_part + 1) / best,
          static_cast<int>(static_cast<std::int64_t>(blocks.count) * block_part / along),
          static_cast<int>(static_cast<std::int64_t>(blocks.count) * (block_part + 1) / along)};
}

}  // namespace pare
