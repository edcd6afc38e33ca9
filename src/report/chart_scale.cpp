#include <algorithm>
#include <cmath>

#include "report/chart.h"

namespace pare {
namespace {

// 1, 2, 2.5 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

double Scale::at(double value) const {
  const double share = logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return from + (to - from) * share;
}

std::vector<double> Scale::ticks(int about) const {
  std::vector<double> out;
  if (logarithmic) {
    // Decades apart by more than `about` powers show powers of ten only.
    const bool many = std::log10(high / low) * 3 > about;
    for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high && out.size() < 40; power *= 10) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double tick = factor * power;
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9) && (factor == 1 || !many)) out.push_back(tick);
      }
    }
    return out;
  }
  const double step = round_step((high - low) / about);
  const double first = std::ceil(low / step - 1e-9);
  for (int k = 0; k < 40; ++k) {
    const double tick = (first + k) * step;
    if (tick > high + step * 1e-9) break;
    out.push_back(tick);
  }
  return out;
}

Scale fitted_scale(const std::vector<double>& values, double from, double to) {
  double low = *std::min_element(values.begin(), values.end()), high = *std::max_element(values.begin(), values.end());
  const double least = std::max(std::abs(high) * 1e-4, 1e-12);  // equal values still get an axis
  if (high - low < least) low -= least, high += least;
  const double air = (high - low) * 0.12;
  return {low - air, high + air, from, to, false};
}

Scale position_scale(const std::vector<double>& values, double from, double to) {
  const double low = *std::min_element(values.begin(), values.end());
  const double high = *std::max_element(values.begin(), values.end());
  if (low > 0 && high / low > 8) {
    const double air = std::pow(high / low, 0.08);
    return {low / air, high * air, from, to, true};
  }
  if (low > 0 && low < 0.6 * high) return {0, high * 1.08, from, to, false};
  return fitted_scale(values, from, to);
}

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
  const double height = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}

std::vector<Label> place_labels(const std::vector<Box>& points, const std::vector<double>& widths, double height,
                                const Box& plot, const std::vector<Box>& dots, const std::vector<Box>& lines) {
  constexpr double distances[] = {4, 16, 32, 50, 72};
  // Directions in order of liking: right, left, above, below, the diagonals.
  constexpr double directions[][2] = {{1, 0}, {-1, 0}, {0, -1}, {0, 1}, {1, -1}, {1, 1}, {-1, -1}, {-1, 1}};
  std::vector<Box> taken = dots;
  std::vector<Label> labels;
  for (size_t i = 0; i < points.size(); ++i) {
    const Box& point = points[i];
    Label best;
    double least = INFINITY;
    for (const double distance : distances) {
      for (const auto& [right, down] : directions) {
        const double x_middle = point.x + point.width / 2, y_middle = point.y + point.height / 2;
        const double x_reach = point.width / 2 + distance, y_reach = point.height / 2 + distance;
        const Box box{x_middle + right * x_reach + (right - 1) / 2 * widths[i],
                      y_middle + down * y_reach + (down - 1) / 2 * height, widths[i], height};
        const double inside = overlap(box, plot), area = box.width * box.height;
        double cost = distance * 1.5 + 8 * (area - inside) + (down != 0 && right != 0 ? 2 : 0);
        for (const Box& other : taken) cost += 2 * overlap(box, other);
        for (const Box& line : lines) cost += 0.4 * overlap(box, line);
        if (cost < least) least = cost, best = {box, distance > 10};
      }
    }
    taken.push_back(best.box);
    labels.push_back(best);
  }
  return labels;
}

}  // namespace pare
