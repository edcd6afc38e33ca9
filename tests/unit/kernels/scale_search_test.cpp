#include "kernels/scale_search/scale_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

namespace pare {
namespace {

constexpr int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr LevelRange kTypes[] = {{-8, 7}, {-16, 15}, {-127, 127}, {0, 3}, {-127, 113, kTable}, {-8, 7, nullptr, true}};
constexpr int64_t kCounts[] = {1, 16, 31, 32, 33, 576};

// Lines of normally distributed values, each line a little wider than the one before, with weights.
struct Values {
  Values(int64_t count, unsigned seed) : values(size_t(count)), weights(size_t(count)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto& side_by_side : values)
      for (int l = 0; l < kLines; ++l) side_by_side[size_t(l)] = normal(random) * (1 + 0.1f * float(l));
    for (float& weight : weights) weight = std::pow(normal(random), 2.f);
  }
  LineSet set(const LevelRange& range) const { return {range, reinterpret_cast<const PerLine*>(values.data()), weights.data(), int64_t(weights.size())}; }
  double at(size_t i, int line) const { return values[i][size_t(line)]; }
  std::vector<std::array<float, kLines>> values;
  std::vector<float> weights;
};

double nearest(const LevelRange& range, double x) {
  if (range.table == nullptr) return std::nearbyint(std::clamp(x, double(range.least), double(range.most)));
  double best = range.table[0];
  for (int i = 1; i < 16; ++i)
    if (std::abs(range.table[i] - x) < std::abs(best - x)) best = range.table[i];
  return best;
}

// The sums by their definition, in double.
struct Sums {
  double w = 0, l = 0, ll = 0, e = 0, le = 0, ee = 0;
};
Sums sums_of(const Values& v, const LevelRange& range, int line, float step, float shift) {
  Sums s;
  for (size_t i = 0; i < v.weights.size(); ++i) {
    const double w = v.weights[i], level = step == 0 ? nearest(range, 0) : nearest(range, (float(v.at(i, line)) + shift) * (1.f / step)), e = v.at(i, line) + shift - step * level;
    s.w += w;
    s.l += w * level;
    s.ll += w * level * level;
    s.e += w * e;
    s.le += w * level * e;
    s.ee += w * e * e;
  }
  return s;
}

double error_of(const Values& v, const LevelRange& range, int line, const FittedLines& fitted) { return sums_of(v, range, line, fitted.step[line], fitted.shift[line]).ee; }

std::vector<const ScaleSearchKernel*> runnable() {
  std::vector<const ScaleSearchKernel*> kernels;
  for (const ScaleSearchKernel& kernel : scale_search_kernels())
    if (kernel.supported()) kernels.push_back(&kernel);
  return kernels;
}

// Every kernel finds the bits that the plain one does.
void expect_same(const PerLine& found, const PerLine& plain, const char* name) {
  for (int l = 0; l < kLines; ++l) EXPECT_EQ(found[l], plain[l]) << name << " line " << l;
}

TEST(ScaleSearch, FindsTheBestTrial) {
  for (const LevelRange& range : kTypes)
    for (const int64_t count : kCounts) {
      const Values v(count, 3);
      std::vector<float> factors;
      for (int t = 0; t < 40; ++t) factors.push_back((t % 2 == 0 ? 1.f : -1.f) * (0.5f + 0.03f * float(t)) / float(std::max(range.most, -range.least)));
      const Extremes extremes = runnable().back()->extremes(v.set(range));
      const FittedLines plain = runnable().back()->fit_scales(v.set(range), extremes.loudest, factors);
      for (int l = 0; l < kLines; ++l) {
        double least = INFINITY;
        for (const float factor : factors) {
          const float step = extremes.loudest[l] * factor;
          if (range.positive && step <= 0) continue;
          const Sums s = sums_of(v, range, l, step, 0);
          least = std::min(least, s.ee - (s.ll > 0 ? s.le * s.le / s.ll : 0));
        }
        // The levels may be better still under the step that fits them best.
        EXPECT_LE(error_of(v, range, l, plain), least * 1.0001 + 1e-6) << count << " line " << l;
        EXPECT_EQ(plain.shift[l], 0);
        EXPECT_GE(plain.step[l], range.positive ? 0 : -INFINITY);
      }
      for (const ScaleSearchKernel* kernel : runnable()) expect_same(kernel->fit_scales(v.set(range), extremes.loudest, factors).step, plain.step, kernel->name);
    }
}

// What is left at the levels of a line when step and shift are settled on them, twice; the lesser.
double settled_twice(const Values& v, const LevelRange& range, int line, double step, double shift) {
  double least = INFINITY;
  for (int again = 0; again < 2; ++again) {
    const Sums s = sums_of(v, range, line, float(step), float(shift));
    const double determinant = s.w * s.ll - s.l * s.l, more = (s.w * s.le - s.l * s.e) / determinant, lift = (s.l * s.le - s.ll * s.e) / determinant;
    step += more;
    shift += lift;
    least = std::min(least, s.ee - more * s.le + lift * s.e);
  }
  return least;
}

TEST(ScaleSearch, FindsLinesWithShifts) {
  for (const LevelRange& range : {LevelRange{0, 15}, LevelRange{0, 31}, LevelRange{-8, 7}, LevelRange{0, 3}})
    for (const bool downward : {false, true}) {
      if (downward && range.least < 0) continue;
      const Values v(64, 5);
      PerLine least, span;
      const Extremes extremes = runnable().back()->extremes(v.set(range));
      for (int l = 0; l < kLines; ++l) {
        least[l] = extremes.least[l];
        span[l] = extremes.most[l] - extremes.least[l];
      }
      std::vector<float> factors;
      for (int k = -8; k <= 8; ++k) factors.push_back(1 / (float(range.most - range.least) + 0.1f * float(k)));
      const FittedLines plain = runnable().back()->fit_shifted(v.set(range), least, span, factors, downward);
      for (int l = 0; l < kLines; ++l) {
        double before = INFINITY, after = INFINITY;   // of the best start, and settled
        for (const float factor : factors) {
          const float step = span[l] * factor, shift = step * float(range.least) - least[l];
          before = std::min(before, sums_of(v, range, l, step, shift).ee);
          after = std::min(after, settled_twice(v, range, l, step, shift));
        }
        EXPECT_LT(error_of(v, range, l, plain), before) << l;
        // The levels may be better still under the line that fits them best.
        EXPECT_LE(error_of(v, range, l, plain), downward ? before : 1.001 * after) << l;
        EXPECT_GE(plain.shift[l], downward ? 0 : -INFINITY);
      }
      for (const ScaleSearchKernel* kernel : runnable()) {
        const FittedLines found = kernel->fit_shifted(v.set(range), least, span, factors, downward);
        expect_same(found.step, plain.step, kernel->name);
        expect_same(found.shift, plain.shift, kernel->name);
      }
    }
}

// Values that all lie above 0, where a line with a negative shift would fit best.
TEST(ScaleSearch, ShiftsThatMustNotBeNegativeAreNot) {
  Values v(32, 6);
  for (auto& side_by_side : v.values)
    for (float& value : side_by_side) value = 5 + std::abs(value);
  PerLine least{}, span;
  const Extremes extremes = runnable().back()->extremes(v.set({0, 15}));
  std::copy_n(extremes.most, kLines, span);
  const std::vector<float> factors{1 / 15.f, 1 / 16.f};
  for (const ScaleSearchKernel* kernel : runnable()) {
    const FittedLines found = kernel->fit_shifted(v.set({0, 15}), least, span, factors, true);
    for (int l = 0; l < kLines; ++l) {
      EXPECT_GE(found.shift[l], 0) << kernel->name;
      EXPECT_LE(error_of(v, {0, 15}, l, found), sums_of(v, {0, 15}, l, span[l] / 15, 0).ee) << kernel->name;
    }
  }
}

TEST(ScaleSearch, SettlesOnTheTrialOfLeastError) {
  for (const LevelRange& range : kTypes)
    for (const bool shifted : {false, true}) {
      if (shifted && range.table != nullptr) continue;
      const Values v(33, 7);
      PerLine steps[4], shifts[4];
      for (int t = 0; t < 4; ++t)
        for (int l = 0; l < kLines; ++l) {
          steps[t][l] = l == 3 ? 0 : (2.f + 0.3f * float((t + l) % 4)) / float(range.most);
          shifts[t][l] = 0.1f * float(t);
        }
      const PerLine* given = shifted ? shifts : nullptr;
      const LineSums plain = runnable().back()->settle(v.set(range), steps, given, 4);
      for (int l = 0; l < kLines; ++l) {
        std::vector<Sums> all;
        for (int t = 0; t < 4; ++t) all.push_back(sums_of(v, range, l, steps[t][l], shifted ? shifts[t][l] : 0));
        const auto best = std::min_element(all.begin(), all.end(), [](const Sums& a, const Sums& b) { return a.ee < b.ee; });
        EXPECT_EQ(plain.trial[l], best - all.begin());
        EXPECT_NEAR(plain.ee[l], best->ee, 1e-5 * best->ee);
        EXPECT_NEAR(plain.ll[l], best->ll, 1e-5 * best->ll);
        EXPECT_NEAR(plain.le[l], best->le, 1e-4 * std::sqrt(best->ll * best->ee));
        if (!shifted) continue;
        EXPECT_NEAR(plain.l[l], best->l, 1e-5 * std::sqrt(best->ll * best->w));
        EXPECT_NEAR(plain.e[l], best->e, 1e-5 * std::sqrt(best->ee * best->w));
      }
      for (const ScaleSearchKernel* kernel : runnable()) {
        const LineSums found = kernel->settle(v.set(range), steps, given, 4);
        expect_same(found.ee, plain.ee, kernel->name);
        expect_same(found.le, plain.le, kernel->name);
        for (int l = 0; l < kLines; ++l) EXPECT_EQ(found.trial[l], plain.trial[l]) << kernel->name;
      }
    }
}

// Of equal trials the first; where no error is a number, none; steps without a reciprocal are none.
TEST(ScaleSearch, TiesAndValuesThatAreNoNumbers) {
  const float one = 1;
  PerLine values[1];
  for (int l = 0; l < kLines; ++l) values[0][l] = l == 1 ? NAN : l == 2 ? 1e-40f : 2.f;
  const std::vector<float> factors{0.5f, 1, 1};  // 2 is two steps of 1, and one of 2
  for (const ScaleSearchKernel* kernel : runnable()) {
    const LineSet set{kTypes[0], values, &one, 1};
    const FittedLines found = kernel->fit_scales(set, kernel->extremes(set).loudest, factors);
    EXPECT_EQ(found.step[0], 1) << kernel->name;
    EXPECT_EQ(found.step[1], 0) << kernel->name;
    EXPECT_EQ(found.step[2], 0) << kernel->name;
  }
}

// Without weights as with weights of 1, to the bit.
TEST(ScaleSearch, NoWeightsAreAlike) {
  Values v(33, 8);
  v.weights.assign(33, 1.f);
  const std::vector<float> factors{0.12f, 0.13f};
  for (const ScaleSearchKernel* kernel : runnable())
    for (const LevelRange& range : kTypes) {
      const LineSet with = v.set(range);
      LineSet without = with;
      without.weights = nullptr;
      const Extremes extremes = kernel->extremes(with);
      const FittedLines scales = kernel->fit_scales(with, extremes.loudest, factors);
      expect_same(kernel->fit_scales(without, extremes.loudest, factors).step, scales.step, kernel->name);
      expect_same(kernel->settle(without, &scales.step, nullptr, 1).le, kernel->settle(with, &scales.step, nullptr, 1).le, kernel->name);
      if (range.table != nullptr) continue;
      const FittedLines lines = kernel->fit_shifted(with, extremes.least, extremes.most, factors, false);
      expect_same(kernel->fit_shifted(without, extremes.least, extremes.most, factors, false).shift, lines.shift, kernel->name);
      expect_same(kernel->settle(without, &lines.step, &lines.shift, 1).e, kernel->settle(with, &lines.step, &lines.shift, 1).e, kernel->name);
    }
}

TEST(ScaleSearch, RowsAreLaidSideBySide) {
  std::vector<float> values(16 * 50);
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(i);
  for (const ScaleSearchKernel* kernel : runnable())
    for (const int64_t count : {1, 7, 32, 37})
      for (const int rows : {1, 5, 16}) {
        std::vector<std::array<float, kLines>> laid(size_t(count) + 1);
        laid.back().fill(-1);
        kernel->lay_side_by_side(values.data(), 50, rows, count, reinterpret_cast<PerLine*>(laid.data()));
        for (int64_t i = 0; i < count; ++i)
          for (int l = 0; l < kLines; ++l) EXPECT_EQ(laid[size_t(i)][size_t(l)], float(std::min(l, rows - 1) * 50 + int(i))) << kernel->name;
        EXPECT_EQ(laid.back()[0], -1) << kernel->name;
      }
}

TEST(ScaleSearch, ExtremesAreThoseOfEachLine) {
  PerLine values[3];
  for (int l = 0; l < kLines; ++l) {
    values[0][l] = float(l);
    values[1][l] = -5;
    values[2][l] = 5;
  }
  const float weights[3] = {1, 1, 1};
  for (const ScaleSearchKernel* kernel : runnable()) {
    const Extremes found = kernel->extremes({kTypes[0], values, weights, 3});
    for (int l = 0; l < kLines; ++l) {
      EXPECT_EQ(found.loudest[l], l > 5 ? float(l) : l == 5 ? 5 : -5) << kernel->name;
      EXPECT_EQ(found.least[l], -5) << kernel->name;
      EXPECT_EQ(found.most[l], std::max(5.f, float(l))) << kernel->name;
    }
  }
}

TEST(ScaleSearch, RoundsToTheNearestLevel) {
  for (const LevelRange& range : kTypes)
    for (const int64_t count : {1, 15, 16, 33}) {
      const Values v(count, 5);
      std::vector<float> values;
      for (int64_t i = 0; i < count; ++i) values.push_back(float(v.at(size_t(i), 0)));
      values[0] = 1e9f;
      for (const ScaleSearchKernel* kernel : runnable()) {
        std::vector<int8_t> found(size_t(count) + 1, 99);
        kernel->round(range, values.data(), count, 7.5f, 0.25f, found.data());
        EXPECT_EQ(found.back(), 99) << kernel->name;
        for (int64_t i = 0; i < count; ++i) EXPECT_EQ(found[size_t(i)], nearest(range, (values[size_t(i)] + 0.25f) * 7.5f)) << kernel->name << " " << i;
      }
    }
}

}  // namespace
}  // namespace pare
