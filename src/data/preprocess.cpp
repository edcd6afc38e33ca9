#include "data/preprocess.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace pare {
namespace {

constexpr int64_t max_side = 65535;

// Extents after [preprocess] resize, and where in which frame the letterbox puts a picture.
struct Fit {
  int64_t height = 0, width = 0, top = 0, left = 0;
  double scale = 1;
};

Fit fit_letterbox(const Preprocess& how, int64_t height, int64_t width) {
  Fit fit;
  const double box_height = double(how.letterbox[0]), box_width = double(how.letterbox[1]);
  fit.scale = std::min(box_height / double(height), box_width / double(width));
  const auto whole = [&](int64_t side) {
    const double exact = double(side) * fit.scale;
    return std::max<int64_t>(1, int64_t(how.centred ? std::nearbyint(exact) : exact));
  };
  fit.height = std::min(whole(height), how.letterbox[0]);
  fit.width = std::min(whole(width), how.letterbox[1]);
  if (how.centred) {  // of an odd rest the larger half comes after the picture
    fit.top = (how.letterbox[0] - fit.height) / 2;
    fit.left = (how.letterbox[1] - fit.width) / 2;
  }
  return fit;
}

Image boxed(Image image, const Preprocess& how) {
  if (how.letterbox.empty()) return image;
  const Fit fit = fit_letterbox(how, image.height, image.width);
  if (fit.height != image.height || fit.width != image.width)
    image = resize(image, fit.height, fit.width, how.interpolation);
  Image box{how.letterbox[0], how.letterbox[1], image.channels, {}};
  box.values.assign(size_t(box.height * box.width * box.channels), how.pad);
  for (int64_t y = 0; y < image.height; ++y)
    std::copy_n(image.values.begin() + y * image.width * image.channels, image.width * image.channels,
                box.values.begin() + ((fit.top + y) * box.width + fit.left) * box.channels);
  return box;
}

Fit fit_resize(const Preprocess& how, int64_t height, int64_t width) {
  Fit fit{height, width, 0, 0, 1};
  if (how.resize.size() == 2) {
    fit.height = how.resize[0];
    fit.width = how.resize[1];
  } else if (how.resize.size() == 1) {  // the longer side is cut off to whole pixels, as torchvision's Resize does
    const int64_t shorter = how.resize[0];
    fit.height = height <= width ? shorter : shorter * height / width;
    fit.width = height <= width ? shorter * width / height : shorter;
  }
  return fit;
}

Image resized(Image image, const Preprocess& how, const std::string& name) {
  const auto [height, width, top, left, scale] = fit_resize(how, image.height, image.width);
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
  image = boxed(cropped(resized(recoloured(std::move(image), channels), *this, image_name), *this, image_name), *this);
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

Placement Preprocess::placement(int64_t height, int64_t width) const {
  if (!letterbox.empty()) {
    const Fit fit = fit_letterbox(*this, height, width);
    return {fit.scale, fit.scale, double(fit.left), double(fit.top)};
  }
  const Fit fit = fit_resize(*this, height, width);
  Placement placement{double(fit.width) / double(width), double(fit.height) / double(height), 0, 0};
  if (!crop.empty()) {
    placement.offset_x = -std::nearbyint(double(fit.width - crop[1]) / 2);
    placement.offset_y = -std::nearbyint(double(fit.height - crop[0]) / 2);
  }
  return placement;
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
  section->allow({"scale", "mean", "std", "layout", "channels", "resize", "crop", "interpolation", "letterbox",
                  "letterbox_place", "letterbox_pad"});
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
  how.letterbox = section->integers("letterbox", 1, 16384);
  if (how.letterbox.size() > 2) section->fail("letterbox", "expected one side, or [height, width]");
  if (how.letterbox.size() == 1) how.letterbox.push_back(how.letterbox[0]);
  if (!how.letterbox.empty() && !(how.resize.empty() && how.crop.empty()))
    section->fail("letterbox", "stands in the place of resize and crop", "remove them, or letterbox");
  for (const char* key : {"letterbox_place", "letterbox_pad"})
    if (section->has(key) && how.letterbox.empty())
      section->fail(key, "there is no letterbox", "add letterbox = [height, width]");
  if (section->has("letterbox_place")) how.centred = section->choice("letterbox_place", {"top-left", "centre"}) == 1;
  how.pad = uint8_t(section->integer("letterbox_pad", how.pad, 0, 255));
  if (section->has("interpolation"))
    how.interpolation = Interpolation(section->choice("interpolation", {"bilinear", "bicubic", "nearest"}));
  return how;
}

}  // namespace pare
