#include "data/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace pare {

void check_extents(int64_t height, int64_t width, const std::string& where) {
  if (height < 1 || width < 1 || height > max_pixels || width > max_pixels || height * width > max_pixels)
    throw Error(
        where,
        fmt::format("an image of {}x{} pixels, at most {} million are read", height, width, max_pixels / 1000000),
        "scale the image down");
}

Image decode_image(std::span<const std::byte> file, const std::string& where) {
  const auto starts = [&](std::initializer_list<int> magic) {
    return file.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), file.begin(), [](int a, std::byte b) { return std::byte(a) == b; });
  };
  if (starts({0x89, 'P', 'N', 'G'})) return decode_png(file, where);
  if (starts({0xff, 0xd8, 0xff})) return decode_jpeg(file, where);
  throw Error(where, file.empty() ? "the file is empty" : "neither a PNG nor a JPEG image by its first bytes",
              "convert it to PNG or JPEG, or remove it");
}

Image crop(const Image& image, const Frame& frame) {
  PARE_CHECK(frame.top >= 0 && frame.left >= 0 && frame.top + frame.height <= image.height &&
             frame.left + frame.width <= image.width);
  const int64_t row = frame.width * image.channels;
  Image result{frame.height, frame.width, image.channels, std::vector<uint8_t>(size_t(frame.height * row))};
  for (int64_t y = 0; y < frame.height; ++y)
    std::copy_n(image.values.begin() + ((frame.top + y) * image.width + frame.left) * image.channels, row,
                result.values.begin() + y * row);
  return result;
}

Image crop_centre(const Image& image, int64_t height, int64_t width) {
  PARE_CHECK(height <= image.height && width <= image.width);
  // Halves round to even, as Python's round() in torchvision's center_crop.
  const auto top = int64_t(std::nearbyint(double(image.height - height) / 2));
  const auto left = int64_t(std::nearbyint(double(image.width - width) / 2));
  return crop(image, {top, left, height, width});
}

Image to_rgb(const Image& image) {
  if (image.channels == 3) return image;
  Image result{image.height, image.width, 3, {}};
  result.values.reserve(image.values.size() * 3);
  for (uint8_t value : image.values) result.values.insert(result.values.end(), 3, value);
  return result;
}

Image to_gray(const Image& image) {
  if (image.channels == 1) return image;
  Image result{image.height, image.width, 1, std::vector<uint8_t>(size_t(image.height * image.width))};
  for (size_t i = 0; i < result.values.size(); ++i) {
    const uint8_t* p = &image.values[i * 3];
    // 0.299, 0.587, 0.114 times 65536 (PIL, Convert.c: L24).
    result.values[i] = uint8_t((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
  }
  return result;
}

}  // namespace pare
