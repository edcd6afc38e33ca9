// The line through weights and their levels. The search tries scales around the obvious one; each gives nearest levels, and
// for these the least-squares line, whose error follows from the same sums.
#include "codecs/line_fit.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/scale_search/scale_search.h"

namespace pare {
namespace {

struct Fit {
  const LevelRange& range;
  std::span<const float> values;
  const float* weights;
  Shift shift;
};

// Over all values, e being what the line leaves of each: Σ of weight times 1, l, l², e, l·e, e².
struct Sums {
  double w = 0, l = 0, ll = 0, e = 0, le = 0, ee = 0;
};

constexpr float kRounder = 12582912.f;   // 1.5·2²³: adding and taking it away rounds to the nearest whole number

// Lanes of their own, so that the compiler can use vectors without changing the order of sums.
constexpr size_t kLanes = 8;
struct LaneSums {
  float w[kLanes] = {}, l[kLanes] = {}, ll[kLanes] = {}, e[kLanes] = {}, le[kLanes] = {}, ee[kLanes] = {};
  void add(size_t k, float weight, float level, float rest) {
    w[k] += weight;
    l[k] += weight * level;
    ll[k] += weight * level * level;
    e[k] += weight * rest;
    le[k] += weight * level * rest;
    ee[k] += weight * rest * rest;
  }
  Sums total() const {
    Sums sums;
    for (size_t k = 0; k < kLanes; ++k) {
      sums.w += w[k];
      sums.l += l[k];
      sums.ll += ll[k];
      sums.e += e[k];
      sums.le += le[k];
      sums.ee += ee[k];
    }
    return sums;
  }
};

// 0 where there is none: infinity times 0 would be no number.
float inverse_of(float step) { return std::isfinite(1 / step) ? 1 / step : 0; }

Sums sums_of(const Fit& fit, float step, float shift) {
  const float inverse = inverse_of(step), least = float(fit.range.least), most = float(fit.range.most);
  const float *x = fit.values.data(), *w = fit.weights;
  LaneSums lanes;
  const size_t count = fit.values.size(), whole = fit.range.table == nullptr ? count / kLanes * kLanes : 0;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t k = 0; k < kLanes; ++k) {
      const float level = (std::min(std::max((x[i + k] + shift) * inverse, least), most) + kRounder) - kRounder;
      lanes.add(k, w[i + k], level, x[i + k] - (step * level - shift));
    }
  for (size_t i = whole; i < count; ++i) {
    const float level = float(nearest_level(fit.range, (x[i] + shift) * inverse));
    lanes.add(i % kLanes, w[i], level, x[i] - (step * level - shift));
  }
  return lanes.total();
}

// The best line for the levels that `step` and `shift` give, of types that have shifts.
Line settled(const Fit& fit, float step, float shift) {
  const Sums s = sums_of(fit, step, shift);
  // Changes of step and shift that leave least: normal equations of e ≈ more·l − lift.
  const double determinant = s.w * s.ll - s.l * s.l;
  if (determinant > 1e-12 * s.w * s.ll) {
    const double more = (s.w * s.le - s.l * s.e) / determinant, lift = (s.l * s.le - s.ll * s.e) / determinant;
    const Line line{float(step + more), float(shift + lift), s.ee - more * s.le + lift * s.e};
    if (line.step > 0 && (fit.shift == Shift::any || line.shift >= 0)) return line;
  }
  if (shift != 0) return settled(fit, step, 0);
  const double more = s.ll > 0 ? s.le / s.ll : 0;
  return {float(step + more), 0, s.ee - more * s.le};
}

void keep_better(Line& best, const Line& other) {
  if (other.error < best.error) best = other;
}

float loudest(std::span<const float> values) {
  float largest = 0;
  for (const float value : values)
    if (std::abs(value) > std::abs(largest)) largest = value;
  return largest;
}

// Symmetric types: the largest value lies on the level that is farthest out.
Line plain_scale(const Fit& fit) {
  const float largest = loudest(fit.values);
  if (largest == 0) return {0, 0, 0};
  const bool least = fit.range.positive ? largest < 0 : -fit.range.least >= fit.range.most;
  const float step = largest / float(least ? fit.range.least : fit.range.most);
  return {step, 0, sums_of(fit, step, 0).ee};
}

ScaleLevels levels_of(const LevelRange& range) { return {float(range.least), float(range.most), range.table}; }

// … or a little inside or outside of an outermost one.
Line search_scale(const Fit& fit) {
  const float largest = loudest(fit.values);
  if (largest == 0) return {0, 0, 0};
  constexpr int kSteps = 9, kTrials = (2 * (2 * kSteps + 1) + 15) / 16 * 16;
  float trials[kTrials];
  int64_t count = 0;
  const int steps = fit.range.most > 64 && fit.range.table == nullptr ? 1 : kSteps;
  for (const int edge : {fit.range.least, fit.range.most})
    for (int k = -steps; k <= steps; ++k) {
      // A tenth of a level apart; table levels are about an eighth of the table's range apart.
      const double reach = edge + (edge < 0 ? -1 : 1) * 0.1 * k * (fit.range.table ? 8 : 1);
      const auto trial = float(largest / reach);
      if (inverse_of(trial) != 0 && !(fit.range.positive && (largest < 0) != (reach < 0))) trials[count++] = trial;
    }
  if (count == 0) return {};
  for (; count % 16 != 0; ++count) trials[count] = trials[0];
  const SettledScale found = best_scale_search_kernel().search({levels_of(fit.range), fit.values.data(), fit.weights, int64_t(fit.values.size()), trials, count});
  return {found.step, 0, found.error};
}

// The span of the values; nothing to search where there is none.
struct Extremes {
  double least, most;
};
Extremes extremes_of(const Fit& fit) {
  auto [low, high] = std::minmax_element(fit.values.begin(), fit.values.end());
  Extremes extremes{*low, *high};
  if (fit.shift == Shift::downward) extremes.least = std::min(extremes.least, 0.0);
  return extremes;
}

// The line on which `value` has level `least` and the step is `step`.
Line through(const Fit& fit, double value, double step) { return {float(step), float(step * fit.range.least - value)}; }

Line plain_line(const Fit& fit) {
  const Extremes span = extremes_of(fit);
  if (span.most <= span.least) return {0, float(-span.least), 0};
  Line line = through(fit, span.least, (span.most - span.least) / (fit.range.most - fit.range.least));
  line.error = sums_of(fit, line.step, line.shift).ee;
  return line;
}

Line search_line(const Fit& fit) {
  const Extremes span = extremes_of(fit);
  if (span.most <= span.least) return {0, float(-span.least), 0};
  Line best;
  for (int k = -8; k <= 12; ++k) {
    Line line = through(fit, span.least, (span.most - span.least) / (fit.range.most - fit.range.least + 0.1 * k));
    for (int again = 0; again < 2; ++again) {
      line = settled(fit, line.step, line.shift);
      keep_better(best, line);
      if (line.step <= 0) break;
    }
  }
  return best;
}

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
    Sums s;
    for (const float x : fit.values) {
      const double level = nearest_level(fit.range, (x + line.shift) / line.step), miss = x - (line.step * level - line.shift), size = std::abs(miss) * std::sqrt(beta);
      const double apart = size > 0 ? std::copysign(std::max(size - kNorm * std::pow(size, kNorm - 1), 0.0) / std::sqrt(beta), miss) : 0;
      s.w += 1;
      s.ll += level * level;
      s.e += miss - apart;
      s.le += level * (miss - apart);
    }
    if (fit.shift == Shift::none) line.step += s.ll > 0 ? float(s.le / s.ll) : 0;
    else line.shift -= float(s.e / s.w);
    if (fit.shift == Shift::downward) line.shift = std::max(line.shift, 0.f);
  }
}

// Minimises Σ|error|^p, which few large errors raise less than many small ones; from steps that cut off more and more.
Line half_quadratic(const Fit& fit) {
  const Line plain = fit.shift == Shift::none ? plain_scale(fit) : plain_line(fit);
  if (plain.step == 0) return plain;
  Line best = plain;
  double least = std::numeric_limits<double>::infinity();
  for (int k = 0; k < 7; ++k) {
    const double step = plain.step * (1 - 0.08 * k);
    split_off(fit, fit.shift == Shift::none ? Line{float(step)} : through(fit, extremes_of(fit).least, step), best, least);
  }
  best.error = sums_of(fit, best.step, best.shift).ee;
  return best;
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
  best_scale_search_kernel().round(levels_of(range), values.data(), int64_t(values.size()), inverse_of(step), shift, levels);
}

Line fit_line(const LevelRange& range, std::span<const float> values, const float* weights, Shift shift, ScaleSearch search) {
  const Fit fit{range, values, weights, shift};
  switch (search) {
    case ScaleSearch::plain: return shift == Shift::none ? plain_scale(fit) : plain_line(fit);
    case ScaleSearch::least_squares: return shift == Shift::none ? search_scale(fit) : search_line(fit);
    case ScaleSearch::half_quadratic: return half_quadratic(fit);
  }
  PARE_CHECK(false);
}

}  // namespace pare
