// The lines through weights and their levels. The search tries steps around the obvious one; each gives nearest levels, and for
// these the least-squares line, whose error follows from the same sums.
#include "codecs/line_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"

namespace pare {
namespace {

Extremes extremes_of(const LineSet& lines) { return best_scale_search_kernel().extremes(lines); }

// Symmetric types: the largest value lies on the level that is farthest out.
FittedLines plain_scales(const LineSet& lines) {
  const Extremes extremes = extremes_of(lines);
  FittedLines fitted;
  for (int l = 0; l < kLines; ++l) {
    const bool least = lines.range.positive ? extremes.loudest[l] < 0 : -lines.range.least >= lines.range.most;
    fitted.step[l] = extremes.loudest[l] / float(least ? lines.range.least : lines.range.most);
    fitted.shift[l] = 0;
  }
  return fitted;
}

// … or a little inside or outside of an outermost one: by up to nine tenths of a level; table levels are about an eighth of the table's
// range apart.
FittedLines search_scales(const LineSet& lines) {
  const int steps = lines.range.most > 64 && lines.range.table == nullptr ? 1 : 3;
  std::array<float, 14> factors;   // of two edges, seven each
  size_t count = 0;
  for (const int edge : {lines.range.least, lines.range.most})
    for (int k = -steps; k <= steps; ++k) {
      const double reach = edge + (edge < 0 ? -1 : 1) * 0.3 * k * (lines.range.table ? 8 : 1);
      if (reach != 0) factors[count++] = float(1 / reach);
    }
  return best_scale_search_kernel().fit_scales(lines, extremes_of(lines).loudest, std::span(factors).first(count));
}

// Types with shifts. Where all values are one, nothing is to be searched: the shift says it all.
struct Spans {
  Spans(const LineSet& lines, Shift shift) {
    const Extremes extremes = extremes_of(lines);
    for (int l = 0; l < kLines; ++l) {
      least[l] = shift == Shift::downward ? std::min(extremes.least[l], 0.f) : extremes.least[l];
      span[l] = std::max(extremes.most[l] - least[l], 0.f);
    }
  }
  void settle_flat(FittedLines& fitted) const {
    for (int l = 0; l < kLines; ++l)
      if (span[l] == 0) {
        fitted.step[l] = 0;
        fitted.shift[l] = -least[l];
      }
  }
  PerLine least, span;
};

// The least value lies on the least level, the largest on the largest.
FittedLines plain_lines(const LineSet& lines, Shift shift) {
  const Spans spans(lines, shift);
  FittedLines fitted;
  for (int l = 0; l < kLines; ++l) {
    fitted.step[l] = spans.span[l] / float(lines.range.most - lines.range.least);
    fitted.shift[l] = fitted.step[l] * float(lines.range.least) - spans.least[l];
  }
  spans.settle_flat(fitted);
  return fitted;
}

FittedLines search_lines(const LineSet& lines, Shift shift) {
  const Spans spans(lines, shift);
  std::array<float, 7> factors;
  for (int k = 0; k < 7; ++k) factors[size_t(k)] = float(1 / (lines.range.most - lines.range.least + 0.1 * (4 * k - 12)));
  FittedLines fitted = best_scale_search_kernel().fit_shifted(lines, spans.least, spans.span, factors, shift == Shift::downward);
  spans.settle_flat(fitted);
  return fitted;
}

struct Line {
  float step = 0, shift = 0;
};
struct Fit {
  const LevelRange& range;
  std::span<const float> values;
  Shift shift;
};

constexpr double kNorm = 0.7;   // p of the norm that half-quadratic splitting minimises

double p_norm(const Fit& fit, const Line& line) {
  double sum = 0;
  for (const float x : fit.values) sum += std::pow(std::abs(double(x) - (line.step * float(nearest_level(fit.range, (x + line.shift) / line.step)) - line.shift)), kNorm);
  return sum;
}

// From one line: errors beyond a threshold are split off (a shrinkage of each), the line is settled on what is left, and the
// threshold falls from round to round. Badri & Shaji 2023, Half-Quadratic Quantization, equations 3 to 6.
void split_off(const Fit& fit, Line line, Line& best, double& least) {
  constexpr int rounds = 20;
  double beta = 1 / (double(line.step) * line.step);
  for (int round = 0; round < rounds && line.step != 0; ++round, beta *= 1.05) {
    if (const double now = p_norm(fit, line); now < least) {
      least = now;
      best = line;
    }
    double squares = 0, rest = 0, along = 0;   // Σ of level², of what is not split off, and of both
    for (const float x : fit.values) {
      const double level = nearest_level(fit.range, (x + line.shift) / line.step), miss = x - (line.step * level - line.shift), size = std::abs(miss) * std::sqrt(beta);
      const double apart = size > 0 ? std::copysign(std::max(size - kNorm * std::pow(size, kNorm - 1), 0.0) / std::sqrt(beta), miss) : 0;
      squares += level * level;
      rest += miss - apart;
      along += level * (miss - apart);
    }
    if (fit.shift == Shift::none) line.step += squares > 0 ? float(along / squares) : 0;
    else line.shift -= float(rest / double(fit.values.size()));
    if (fit.shift == Shift::downward) line.shift = std::max(line.shift, 0.f);
  }
}

// Minimises Σ|error|^p, which few large errors raise less than many small ones; from steps that cut off more and more.
Line half_quadratic(const Fit& fit, const Line& plain) {
  if (plain.step == 0) return plain;
  Line best = plain;
  double least = std::numeric_limits<double>::infinity();
  for (int k = 0; k < 7; ++k) {
    const auto step = float(plain.step * (1 - 0.08 * k));
    // The least value stays on the least level.
    const float shift = fit.shift == Shift::none ? 0 : plain.shift + (step - plain.step) * float(fit.range.least);
    split_off(fit, {step, shift}, best, least);
  }
  return best;
}

FittedLines half_quadratic_lines(const LineSet& lines, Shift shift) {
  FittedLines fitted = shift == Shift::none ? plain_scales(lines) : plain_lines(lines, shift);
  std::vector<float> values(size_t(lines.count));
  for (int l = 0; l < kLines; ++l) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = lines.values[i][l];
    const Line line = half_quadratic({lines.range, values, shift}, {fitted.step[l], fitted.shift[l]});
    fitted.step[l] = line.step;
    fitted.shift[l] = line.shift;
  }
  return fitted;
}

}  // namespace

int nearest_level(const LevelRange& range, float level) {
  if (range.table == nullptr) return int(std::lrint(std::clamp(level, float(range.least), float(range.most))));
  const int8_t* above = std::lower_bound(range.table, range.table + 16, level, [](int8_t entry, float x) { return float(entry) < x; });
  if (above == range.table + 16) return range.table[15];
  if (above == range.table) return range.table[0];
  return level - float(above[-1]) <= float(*above) - level ? above[-1] : *above;
}

void round_levels(const LevelRange& range, std::span<const float> values, float step, float shift, int8_t* levels) {
  // 0 where there is none: infinity times 0 would be no number.
  const float inverse = std::isfinite(1 / step) ? 1 / step : 0;
  best_scale_search_kernel().round(range, values.data(), int64_t(values.size()), inverse, shift, levels);
}

FittedLines fit_lines(const LineSet& lines, Shift shift, ScaleSearch search) {
  switch (search) {
    case ScaleSearch::plain: return shift == Shift::none ? plain_scales(lines) : plain_lines(lines, shift);
    case ScaleSearch::least_squares: return shift == Shift::none ? search_scales(lines) : search_lines(lines, shift);
    case ScaleSearch::half_quadratic: return half_quadratic_lines(lines, shift);
  }
  PARE_CHECK(false);
}

}  // namespace pare
