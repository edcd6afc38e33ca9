#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace pare {

// 8-bit pixels, rows from the top, the channels of a pixel side by side: 1 (gray) or 3 (red, green, blue).
struct Image {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> values;
};

// The largest picture read, in pixels: 400 MB in colour. Checked before anything is allocated.
constexpr int64_t max_pixels = int64_t(1) << 27;
void check_extents(int64_t height, int64_t width, const std::string& where);

// PNG or JPEG, told apart by their first bytes whatever the file is called. Transparency is dropped, 16 bits keep the
// upper 8, palettes become colours: what PIL's convert("RGB") does. Throws Error.
Image decode_image(std::span<const std::byte> file, const std::string& where);
Image decode_png(std::span<const std::byte> file, const std::string& where);
Image decode_jpeg(std::span<const std::byte> file, const std::string& where);

std::string encode_png(const Image& image);  // the file's bytes
std::string encode_jpeg(const Image& image, int quality);  // 1 … 100

enum class Interpolation { bilinear, bicubic, nearest };
// The same bytes as PIL's Image.resize: when shrinking, bilinear and bicubic average over all pixels covered.
Image resize(const Image& image, int64_t height, int64_t width, Interpolation interpolation);

struct Frame {
  int64_t top = 0, left = 0, height = 0, width = 0;
};
Image crop(const Image& image, const Frame& frame);  // the frame lies within the image
Image crop_centre(const Image& image, int64_t height, int64_t width);  // extents at most the image's
Image to_rgb(const Image& image);
Image to_gray(const Image& image);  // ITU-R 601 luma in PIL's integers

}  // namespace pare
