#pragma once
#include <cstdint>
#include <vector>

#include "data/image.h"

namespace pare {

// The luma of ITU-R BT.601 in 8-bit studio range (16 … 235), not rounded: what papers on super-resolution call Y.
struct Luma {
  int64_t height = 0, width = 0;
  std::vector<double> values;
};
// Without `border` pixels on each side; empty where nothing remains.
Luma luma_of(const Image& image, int64_t border);

// Peak signal to noise ratio in dB of two planes of the same extents, the peak being 255. Equal planes count as 100 dB.
double psnr(const Luma& a, const Luma& b);
// Mean structural similarity: Wang, Bovik, Sheikh, Simoncelli 2004, "Image quality assessment: from error visibility to
// structural similarity", 11x11 Gaussian window of sigma 1.5 wherever it fits. Both sides at least 11 pixels.
double ssim(const Luma& a, const Luma& b);
constexpr int64_t ssim_window = 11;

}  // namespace pare
