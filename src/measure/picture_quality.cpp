#include "measure/picture_quality.h"

#include <array>
#include <cmath>

#include "base/error.h"

namespace pare {
namespace {

using Window = std::array<double, size_t(ssim_window)>;

Window gaussian_window() {
  constexpr double sigma = 1.5;
  Window window;
  double sum = 0;
  for (size_t i = 0; i < window.size(); ++i) {
    const double x = double(i) - double(ssim_window / 2);
    sum += window[i] = std::exp(-x * x / (2 * sigma * sigma));
  }
  for (double& weight : window) weight /= sum;
  return window;
}

// Weighted means of product(i) over the window at every place where it fits; rows, then columns.
template <class Product>
std::vector<double> local_means(const Luma& shape, const Window& window, const Product& product) {
  const int64_t out_width = shape.width - ssim_window + 1, out_height = shape.height - ssim_window + 1;
  std::vector<double> rows(size_t(shape.height * out_width)), means(size_t(out_height * out_width));
  for (int64_t y = 0; y < shape.height; ++y)
    for (int64_t x = 0; x < out_width; ++x)
      for (int64_t i = 0; i < ssim_window; ++i)
        rows[size_t(y * out_width + x)] += window[size_t(i)] * product(size_t(y * shape.width + x + i));
  for (int64_t y = 0; y < out_height; ++y)
    for (int64_t i = 0; i < ssim_window; ++i)
      for (int64_t x = 0; x < out_width; ++x)
        means[size_t(y * out_width + x)] += window[size_t(i)] * rows[size_t((y + i) * out_width + x)];
  return means;
}

}  // namespace

Luma luma_of(const Image& image, int64_t border) {
  Luma luma{image.height - 2 * border, image.width - 2 * border, {}};
  if (luma.height < 1 || luma.width < 1) return {};
  luma.values.reserve(size_t(luma.height * luma.width));
  for (int64_t y = border; y < image.height - border; ++y)
    for (int64_t x = border; x < image.width - border; ++x) {
      const uint8_t* p = &image.values[size_t((y * image.width + x) * image.channels)];
      const bool colour = image.channels == 3;
      luma.values.push_back(16 + (65.481 * p[0] + 128.553 * p[colour ? 1 : 0] + 24.966 * p[colour ? 2 : 0]) / 255);
    }
  return luma;
}

double psnr(const Luma& a, const Luma& b) {
  PARE_CHECK(a.values.size() == b.values.size() && !a.values.empty());
  double squares = 0;
  for (size_t i = 0; i < a.values.size(); ++i) squares += (a.values[i] - b.values[i]) * (a.values[i] - b.values[i]);
  constexpr double most = 100;  // finite, so that one perfect picture does not decide the mean
  return squares > 0 ? std::min(most, 10 * std::log10(255.0 * 255.0 * double(a.values.size()) / squares)) : most;
}

double ssim(const Luma& a, const Luma& b) {
  PARE_CHECK(a.height == b.height && a.width == b.width && a.height >= ssim_window && a.width >= ssim_window);
  static const Window window = gaussian_window();
  constexpr double c1 = 0.01 * 255 * 0.01 * 255, c2 = 0.03 * 255 * 0.03 * 255;
  const auto &x = a.values, &y = b.values;
  const auto mean_x = local_means(a, window, [&](size_t i) { return x[i]; }),
             mean_y = local_means(a, window, [&](size_t i) { return y[i]; }),
             xx = local_means(a, window, [&](size_t i) { return x[i] * x[i]; }),
             yy = local_means(a, window, [&](size_t i) { return y[i] * y[i]; }),
             xy = local_means(a, window, [&](size_t i) { return x[i] * y[i]; });
  double sum = 0;
  for (size_t i = 0; i < mean_x.size(); ++i) {
    const double product = mean_x[i] * mean_y[i], squares = mean_x[i] * mean_x[i] + mean_y[i] * mean_y[i];
    sum += (2 * product + c1) * (2 * (xy[i] - product) + c2) / ((squares + c1) * (xx[i] + yy[i] - squares + c2));
  }
  return sum / double(mean_x.size());
}

}  // namespace pare
