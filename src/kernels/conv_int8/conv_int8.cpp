#include "kernels/conv_int8/conv_int8.h"

#include <algorithm>

#include "kernels/conv_int8/blocks.h"

#define PARE_KERNEL_TYPE ConvInt8Kernel
#define PARE_KERNELS conv_int8_kernels
#define PARE_KERNEL_ROWS "kernels/conv_int8/kernels.inc"
#include "kernels/rows.inc"

namespace pare {

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
  for (int bytes : {kConvInt8BandBytes, 4 * kConvInt8BandBytes, kConvInt8BandBytes / 2}) {
    const int rows = conv_int8_band_rows(shape, bytes);
    for (int width : widths) {
      const ConvInt8Tiling tiling{kernel.max_pixels(width), width, rows};
      if (std::find(tilings.begin(), tilings.end(), tiling) == tilings.end()) tilings.push_back(tiling);
    }
  }
  return tilings;
}

}  // namespace pare
