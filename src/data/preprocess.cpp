#include "data/preprocess.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace pare {
namespace {

constexpr int64_t max_side = 65535;

Image resized(Image image, const Preprocess& how, const std::string& name) {
  int64_t height = image.height, width = image.width;
  if (how.resize.size() == 2) {
    height = how.resize[0];
    width = how.resize[1];
  } else if (how.resize.size() == 1) {  // the longer side is cut off to whole pixels, as torchvision's Resize does
    const int64_t shorter = how.resize[0];
    (image.height <= image.width ? height : width) = shorter;
    if (image.height <= image.width)
      width = shorter * image.width / image.height;
    else
      height = shorter * image.height / image.width;
  }
  check_extents(height, width, name);
  if (height == image.height && width == image.width) return image;
  return resize(image, height, width, how.interpolation);
}

Image cropped(Image image, const Preprocess& how, const std::string& name) {
  if (how.crop.empty()) return image;
  if (image.height < how.crop[0] || image.width < how.crop[1])
    throw Error(how.where,
                fmt::format("crop: {} of {}x{} pixels (height x width) is smaller than {}x{}", name, image.height,
                            image.width, how.crop[0], how.crop[1]),
                fmt::format("add resize = {} or more", std::max(how.crop[0], how.crop[1])));
  return crop_centre(image, how.crop[0], how.crop[1]);
}

Image recoloured(Image image, Preprocess::Channels channels) {
  if (channels == Preprocess::Channels::gray) return to_gray(image);
  if (channels == Preprocess::Channels::as_stored) return image;
  Image result = to_rgb(image);
  if (channels == Preprocess::Channels::bgr)
    for (size_t i = 0; i + 2 < result.values.size(); i += 3) std::swap(result.values[i], result.values[i + 2]);
  return result;
}

double of_channel(const std::vector<double>& values, int64_t channel) {
  return values.size() == 1 ? values[0] : values[size_t(channel)];
}

void check_count(const Preprocess& how, const char* key, const std::vector<double>& values, int64_t channels,
                 const std::string& name) {
  if (values.size() != 1 && int64_t(values.size()) != channels)
    throw Error(
        how.where,
        fmt::format("{} has {} values, {} has {} channel{}", key, values.size(), name, channels,
                    channels == 1 ? "" : "s"),
        "give one value, or one a channel; channels = \"RGB\" makes three of a gray image, \"gray\" one of a coloured");
}

}  // namespace

Array Preprocess::apply(Image image, const std::string& image_name) const {
  // PIL and torchvision users convert the colours first; order matters by rounding.
  image = cropped(resized(recoloured(std::move(image), channels), *this, image_name), *this, image_name);
  check_count(*this, "mean", mean, image.channels, image_name);
  check_count(*this, "std", std, image.channels, image_name);
  const int64_t pixels = image.height * image.width, count = image.channels;
  Array array(Type::f32,
              channels_last ? Dims{1, image.height, image.width, count} : Dims{1, count, image.height, image.width});
  float* out = array.mutable_values<float>().data();
  for (int64_t c = 0; c < count; ++c) {
    std::array<float, 256> table;  // computed in double, rounded once
    for (int x = 0; x < 256; ++x) table[size_t(x)] = float((x * scale - of_channel(mean, c)) / of_channel(std, c));
    const int64_t start = channels_last ? c : c * pixels, step = channels_last ? count : 1;
    for (int64_t i = 0; i < pixels; ++i) out[start + i * step] = table[image.values[size_t(i * count + c)]];
  }
  return array;
}

Image Preprocess::invert(const Array& picture, const std::string& name) const {
  Dims dims = picture.dims();
  while (dims.size() > 3 && dims[0] == 1) dims.erase(dims.begin());
  const auto is_colour = [](int64_t extent) { return extent == 1 || extent == 3; };
  if (dims.size() == 2) dims.insert(channels_last ? dims.end() : dims.begin(), 1);
  const bool last = dims.size() == 3 && is_colour(dims[2]) && (channels_last || !is_colour(dims[0]));
  if (dims.size() != 3 || !(last || is_colour(dims[0])))
    throw Error(name, fmt::format("{} is not a picture, expected 1 or 3 channels of rows", dims_text(picture.dims())));
  const int64_t count = last ? dims[2] : dims[0], pixels = picture.count() / count;
  Image image{last ? dims[0] : dims[1], last ? dims[1] : dims[2], count, std::vector<uint8_t>(size_t(picture.count()))};
  check_count(*this, "mean", mean, count, name);
  check_count(*this, "std", std, count, name);
  const std::vector<float> values = picture.to_floats();
  for (int64_t c = 0; c < count; ++c) {
    const double factor = of_channel(std, c) / scale, shift = of_channel(mean, c) / scale;
    const int64_t start = last ? c : c * pixels, step = last ? count : 1;
    const int64_t to = channels == Channels::bgr ? count - 1 - c : c;
    for (int64_t i = 0; i < pixels; ++i) {
      const double value = std::nearbyint(double(values[size_t(start + i * step)]) * factor + shift);
      image.values[size_t(i * count + to)] = value > 0 ? uint8_t(std::min(value, 255.0)) : 0;  // NaN becomes black
    }
  }
  return image;
}

Preprocess Preprocess::read(const std::optional<Section>& section) {
  Preprocess how;
  if (!section) return how;
  section->allow({"scale", "mean", "std", "layout", "channels", "resize", "crop", "interpolation"});
  how.where = section->where("") + ": [preprocess]";
  how.scale = section->number("scale", how.scale);
  if (how.scale == 0) section->fail("scale", "0 would turn every image black", "0.00392156862745098 is 1/255");
  if (section->has("mean")) how.mean = section->numbers("mean");
  if (section->has("std")) how.std = section->numbers("std");
  for (double value : how.std)
    if (value <= 0) section->fail("std", fmt::format("{} is not above 0", value));
  if (section->has("layout")) how.channels_last = section->choice("layout", {"NCHW", "NHWC"}) == 1;
  if (section->has("channels")) how.channels = Channels(1 + section->choice("channels", {"RGB", "BGR", "gray"}));
  how.resize = section->integers("resize", 1, max_side);
  how.crop = section->integers("crop", 1, max_side);
  if (how.resize.size() > 2) section->fail("resize", "expected the shorter side, or [height, width]");
  if (how.crop.size() > 2) section->fail("crop", "expected one side, or [height, width]");
  if (how.crop.size() == 1) how.crop.push_back(how.crop[0]);
  if (section->has("interpolation"))
    how.interpolation = Interpolation(section->choice("interpolation", {"bilinear", "bicubic", "nearest"}));
  return how;
}

}  // namespace pare
