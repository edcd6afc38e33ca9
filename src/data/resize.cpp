#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "data/image.h"

// PIL's Image.resize for 8-bit pixels (Pillow, src/libImaging/Resample.c), so that a model sees the pixels it was
// trained and judged on: filter weights in double, stored in 22 fractional bits, summed in 32-bit integers, rounded and
// clipped to 8 bits after each direction, width first.
namespace pare {
namespace {

constexpr int fraction_bits = 32 - 8 - 2;  // 8 bits of pixel, 2 for what bicubic overshoots

double triangle(double x) {
  return std::max(0.0, 1.0 - std::abs(x));
}

double cubic(double x) {  // Keys 1981 with a = -1/2
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// What one output position takes: weights[i] of input first + i.
struct Taps {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

std::vector<Taps> make_taps(int64_t in, int64_t out, Interpolation interpolation) {
  const bool bicubic = interpolation == Interpolation::bicubic;
  const double scale = double(in) / double(out), widen = std::max(scale, 1.0), support = (bicubic ? 2.0 : 1.0) * widen;
  std::vector<Taps> all(static_cast<size_t>(out));
  std::vector<double> weights;
  for (int64_t x = 0; x < out; ++x) {
    const double centre = (double(x) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(0, int64_t(centre - support + 0.5));
    const int64_t last = std::min<int64_t>(in, int64_t(centre + support + 0.5));
    weights.clear();
    double sum = 0;
    for (int64_t i = first; i < last; ++i) {
      const double at = (double(i) - centre + 0.5) * (1.0 / widen);
      weights.push_back(bicubic ? cubic(at) : triangle(at));
      sum += weights.back();
    }
    Taps& taps = all[size_t(x)];
    taps.first = first;
    for (double weight : weights) {
      const double value = (sum != 0.0 ? weight / sum : weight) * double(1 << fraction_bits);
      taps.weights.push_back(int32_t(value < 0 ? value - 0.5 : value + 0.5));
    }
  }
  return all;
}

uint8_t round_to_byte(int32_t sum) {
  return uint8_t(std::clamp(sum >> fraction_bits, 0, 255));
}

// [height, in, channels] → [height, out, channels]
Image resize_width(const Image& image, int64_t out, Interpolation interpolation) {
  const std::vector<Taps> taps = make_taps(image.width, out, interpolation);
  const int64_t channels = image.channels;
  Image result{image.height, out, channels, std::vector<uint8_t>(size_t(image.height * out * channels))};
  uint8_t* target = result.values.data();
  for (int64_t y = 0; y < image.height; ++y)
    for (const Taps& tap : taps) {
      const uint8_t* source = image.values.data() + (y * image.width + tap.first) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        int32_t sum = 1 << (fraction_bits - 1);
        for (size_t i = 0; i < tap.weights.size(); ++i) sum += source[int64_t(i) * channels + c] * tap.weights[i];
        *target++ = round_to_byte(sum);
      }
    }
  return result;
}

// [in, width, channels] → [out, width, channels]
Image resize_height(const Image& image, int64_t out, Interpolation interpolation) {
  const int64_t row = image.width * image.channels;
  Image result{out, image.width, image.channels, std::vector<uint8_t>(size_t(out * row))};
  std::vector<int32_t> sums(static_cast<size_t>(row));
  uint8_t* target = result.values.data();
  for (const Taps& tap : make_taps(image.height, out, interpolation)) {
    std::fill(sums.begin(), sums.end(), 1 << (fraction_bits - 1));
    for (size_t i = 0; i < tap.weights.size(); ++i) {
      const uint8_t* source = image.values.data() + (tap.first + int64_t(i)) * row;
      for (int64_t x = 0; x < row; ++x) sums[size_t(x)] += source[x] * tap.weights[i];
    }
    for (int32_t sum : sums) *target++ = round_to_byte(sum);
  }
  return result;
}

Image pick_nearest(const Image& image, int64_t height, int64_t width) {
  Image result{height, width, image.channels, {}};
  result.values.reserve(size_t(height * width * image.channels));
  const auto from = [](int64_t at, int64_t in, int64_t out) {
    return std::min(in - 1, int64_t((double(at) + 0.5) * (double(in) / double(out))));
  };
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const auto pixel = image.values.begin() +
                         (from(y, image.height, height) * image.width + from(x, image.width, width)) * image.channels;
      result.values.insert(result.values.end(), pixel, pixel + image.channels);
    }
  return result;
}

}  // namespace

Image resize(const Image& image, int64_t height, int64_t width, Interpolation interpolation) {
  PARE_CHECK(height > 0 && width > 0 && image.height > 0 && image.width > 0);
  if (interpolation == Interpolation::nearest) return pick_nearest(image, height, width);
  Image result = width == image.width ? image : resize_width(image, width, interpolation);
  return height == image.height ? result : resize_height(result, height, interpolation);
}

}  // namespace pare
