#include "kernels/conv_int8/conv_int8.h"

#include <algorithm>

#include "kernels/conv_int8/blocks.h"

#define PARE_KERNEL_TYPE ConvInt8Kernel
#define PARE_KERNELS conv_int8_kernels
#define PARE_KERNEL_ROWS "kernels/conv_int8/kernels.inc"
#include "kernels/rows.inc"

namespace pare {
namespace {

// Input bytes a band may read: with the weights of one block it should stay in a 48 KB L1.
constexpr int kBandBytes = 24 * 1024;

// Every band reads all weights again. If they come from L3 (26 bytes a cycle, a line serves a pixel in half a cycle), a
// band of fewer pixels than this would wait for them.
constexpr int kBandPixels = 128;
constexpr std::int64_t kFarWeights = 256 * 1024;

int band_rows(const ConvInt8Shape& shape, int bytes) {
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

}  // namespace

std::vector<ConvInt8Tiling> conv_int8_tilings(const ConvInt8Kernel& kernel, const ConvInt8Shape& original) {
  const ConvInt8Shape shape = fold_conv_int8(original);
  const int vectors = (shape.out_c / shape.groups + kernel.lanes - 1) / kernel.lanes;
  std::vector<int> widths;
  const auto add = [&](int width) {
    width = std::min({width, vectors, kernel.max_vectors});
    if (std::find(widths.begin(), widths.end(), width) == widths.end()) widths.push_back(width);
  };
  // Four vectors a pixel fill whole cache lines of output and load least; blocks of fewer vectors come from evening
  // out.
  for (int width : {4, 2, 3, 1}) add(width);
  std::vector<ConvInt8Tiling> tilings;
  for (int bytes : {kBandBytes, 4 * kBandBytes, kBandBytes / 2}) {
    const int rows = band_rows(shape, bytes);
    for (int width : widths) {
      const ConvInt8Tiling tiling{kernel.max_pixels(width), width, rows};
      if (std::find(tilings.begin(), tilings.end(), tiling) == tilings.end()) tilings.push_back(tiling);
    }
  }
  return tilings;
}

}  // namespace pare
