// The loops of every row, compiled once for each instruction set; included by those files only. Lanes are lines, so that nothing is
// added up across them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/float_vectors.h"
#include "kernels/scale_search/scale_search.h"
#include "kernels/transpose_square.h"

namespace pare {
namespace {

static_assert(kLines % kVector == 0);
constexpr float kRound = 12582912.0f;  // 1.5 · 2²³: adding and taking it away rounds to the nearest whole number, ties to even

Floats load(const float* from) { return *reinterpret_cast<const Floats*>(from); }
void store(Floats value, float* to) { *reinterpret_cast<Floats*>(to) = value; }
bool any(Ints mask) {
  int32_t all = 0;
  for (int l = 0; l < kVector; ++l) all |= mask[l];
  return all != 0;
}

// A type's levels; those of a table between the halfway points of its entries.
struct Nearest {
  explicit Nearest(const LevelRange& range) : least(Floats{} + float(range.least)), most(Floats{} + float(range.most)) {
    if (range.table == nullptr) return;
    for (int i = 0; i < 16; ++i) entry[i] = Floats{} + float(range.table[i]);
    for (int i = 0; i < 15; ++i) halfway[i] = (entry[i] + entry[i + 1]) * 0.5f;
  }
  template <bool Table>
  Floats of(Floats x) const {
    if constexpr (Table) {
      Floats level = entry[0];
#pragma GCC unroll 15
      for (int i = 0; i < 15; ++i) level = x > halfway[i] ? entry[i + 1] : level;
      return level;
    }
    x = x > least ? x : least;
    x = x < most ? x : most;
    return (x + kRound) - kRound;
  }
  Floats least, most, entry[16], halfway[15];
};

// 0 where there is none that is finite: infinity times 0 would be no number.
Floats inverse_of(Floats step) {
  const Floats inverse = 1.0f / step;
  return inverse - inverse == 0.0f ? inverse : Floats{};
}

void lay_side_by_side(const float* values, int64_t pitch, int rows, int64_t count, PerLine* to) {
  for (int lane = 0; lane < kLines; lane += kVector) {
    const float* row[kVector];
    for (int l = 0; l < kVector; ++l) row[l] = values + std::min(lane + l, rows - 1) * pitch;
    int64_t i = 0;
    for (; i + kVector <= count; i += kVector) {
      Floats square[kVector];
#pragma GCC unroll 16
      for (int l = 0; l < kVector; ++l) square[l] = load(row[l] + i);
      transpose_square(square);
#pragma GCC unroll 16
      for (int l = 0; l < kVector; ++l) store(square[l], to[i + l] + lane);
    }
    for (; i < count; ++i)
      for (int l = 0; l < kVector; ++l) to[i][lane + l] = row[l][i];
  }
}

// kVector lines of a set, from `lane` on.
struct Lines {
  Lines(const LineSet& set, int lane) : values(set.values[0] + lane), weights(set.weights), count(set.count) {}
  const float *values, *weights;
  int64_t count;
};

struct Sums {
  Floats l{}, ll{}, e{}, le{}, ee{};
};

template <bool Table, bool Shifted, bool Weighted>
Sums sums_of(const Lines& lines, const Nearest& nearest, Floats step, Floats shift) {
  const Floats inverse = inverse_of(step);
  Sums sums;
  for (int64_t i = 0; i < lines.count; ++i) {
    const Floats value = load(lines.values + i * kLines), x = Shifted ? value + shift : value;
    const Floats level = nearest.of<Table>(x * inverse), rest = x - step * level;
    Floats weighted = level, lost = rest;
    if constexpr (Weighted) {
      weighted *= lines.weights[i];
      lost *= lines.weights[i];
    }
    if constexpr (Shifted) {
      sums.l += weighted;
      sums.e += lost;
    }
    sums.ll += weighted * level;
    sums.le += level * lost;
    sums.ee += lost * rest;
  }
  return sums;
}

Extremes extremes(const LineSet& set) {
  Extremes all;
  for (int lane = 0; lane < kLines; lane += kVector) {
    Floats loudest{}, least = load(set.values[0] + lane), most = least, size{};
    for (int64_t i = 0; i < set.count; ++i) {
      const Floats value = load(set.values[i] + lane), now = value < 0.0f ? -value : value;
      loudest = now > size ? value : loudest;
      size = now > size ? now : size;
      least = value < least ? value : least;
      most = value > most ? value : most;
    }
    store(loudest, all.loudest + lane);
    store(least, all.least + lane);
    store(most, all.most + lane);
  }
  return all;
}

template <bool Table, bool Weighted>
Floats best_scales(const Lines& lines, const LevelRange& range, Floats loudest, std::span<const float> factors) {
  const Nearest nearest(range);
  Floats error = Floats{} + __builtin_inff(), best{};
  for (const float factor : factors) {
    const Floats step = loudest * factor;
    const Sums s = sums_of<Table, false, Weighted>(lines, nearest, step, Floats{});
    const Floats more = s.ll > 0.0f ? s.le / s.ll : Floats{}, left = s.ee - more * s.le;
    Ints better = (left < error) & (inverse_of(step) != 0.0f);
    if (range.positive) better &= step > 0.0f;
    best = better ? step + more : best;
    error = better ? left : error;
  }
  return best;
}

template <class Loop>
Loop* weighted(const LineSet& set, Loop* with, Loop* without) {
  return set.weights != nullptr ? with : without;
}

FittedLines fit_scales(const LineSet& set, const PerLine& loudest, std::span<const float> factors) {
  FittedLines fitted;
  for (int lane = 0; lane < kLines; lane += kVector) {
    const auto search = set.range.table != nullptr ? weighted(set, best_scales<true, true>, best_scales<true, false>) : weighted(set, best_scales<false, true>, best_scales<false, false>);
    store(search({set, lane}, set.range, load(loudest + lane), factors), fitted.step + lane);
    store(Floats{}, fitted.shift + lane);
  }
  return fitted;
}

struct Line {
  Floats step, shift, error;
};

// The best line for the levels that `line` gives: the changes of step and shift that leave least, by the normal equations of
// e ≈ more·l − lift. Where these have no use, of the levels without a shift, at last of the step alone.
template <bool Weighted>
Line settled(const Lines& lines, const Nearest& nearest, const Line& line, float total, bool downward) {
  Floats shift = line.shift, step{}, moved{}, error{};
  for (int again = 0;; ++again) {
    const Sums s = sums_of<false, true, Weighted>(lines, nearest, line.step, shift);
    const Floats determinant = total * s.ll - s.l * s.l;
    const Floats more = (total * s.le - s.l * s.e) / determinant, lift = (s.l * s.le - s.ll * s.e) / determinant;
    Ints sound = (determinant > 1e-6f * total * s.ll) & (line.step + more > 0.0f);
    if (downward) sound &= shift + lift >= 0.0f;
    // Lines that were sound before have the same sums again.
    step = sound ? line.step + more : step;
    moved = sound ? shift + lift : moved;
    error = sound ? s.ee - more * s.le + lift * s.e : error;
    if (!any(~sound)) break;
    if (again == 0) {
      shift = sound ? shift : Floats{};
      continue;
    }
    const Floats alone = s.ll > 0.0f ? s.le / s.ll : Floats{};
    step = sound ? step : line.step + alone;
    moved = sound ? moved : Floats{};
    error = sound ? error : s.ee - alone * s.le;
    break;
  }
  return {step, moved, error};
}

FittedLines fit_shifted(const LineSet& set, const PerLine& least, const PerLine& span, std::span<const float> factors, bool downward) {
  const Nearest nearest(set.range);
  const auto settle_line = weighted(set, settled<true>, settled<false>);
  float total = set.weights != nullptr ? 0 : float(set.count);
  for (int64_t i = 0; i < set.count && set.weights != nullptr; ++i) total += set.weights[i];
  FittedLines fitted;
  for (int lane = 0; lane < kLines; lane += kVector) {
    Line best{{}, {}, Floats{} + __builtin_inff()};
    for (const float factor : factors) {
      Line line;
      line.step = load(span + lane) * factor;
      line.shift = line.step * float(set.range.least) - load(least + lane);
      for (int again = 0; again < 2; ++again) {
        const Ints alive = line.step > 0.0f;
        line = settle_line({set, lane}, nearest, line, total, downward);
        const Ints better = alive & (line.error < best.error);
        best.step = better ? line.step : best.step;
        best.shift = better ? line.shift : best.shift;
        best.error = better ? line.error : best.error;
      }
    }
    store(best.step, fitted.step + lane);
    store(best.shift, fitted.shift + lane);
  }
  return fitted;
}

template <bool Table, bool Shifted, bool Weighted>
void settle_lines(const LineSet& set, int lane, const PerLine* steps, const PerLine* shifts, int trials, LineSums& sums) {
  const Nearest nearest(set.range);
  Sums best;
  best.ee += __builtin_inff();
  Ints trial{};
  for (int t = 0; t < trials; ++t) {
    const Sums s = sums_of<Table, Shifted, Weighted>({set, lane}, nearest, load(steps[t] + lane), Shifted ? load(shifts[t] + lane) : Floats{});
    const Ints better = s.ee < best.ee;
    best = {better ? s.l : best.l, better ? s.ll : best.ll, better ? s.e : best.e, better ? s.le : best.le, better ? s.ee : best.ee};
    trial = better ? Ints{} + t : trial;
  }
  store(best.l, sums.l + lane);
  store(best.ll, sums.ll + lane);
  store(best.e, sums.e + lane);
  store(best.le, sums.le + lane);
  store(best.ee, sums.ee + lane);
  std::memcpy(sums.trial + lane, &trial, sizeof trial);
}

LineSums settle(const LineSet& set, const PerLine* steps, const PerLine* shifts, int trials) {
  LineSums sums;
  const auto run = shifts != nullptr              ? weighted(set, settle_lines<false, true, true>, settle_lines<false, true, false>)
                   : set.range.table != nullptr ? weighted(set, settle_lines<true, false, true>, settle_lines<true, false, false>)
                                                : weighted(set, settle_lines<false, false, true>, settle_lines<false, false, false>);
  for (int lane = 0; lane < kLines; lane += kVector) run(set, lane, steps, shifts, trials, sums);
  return sums;
}

template <bool Table>
void round_all(const LevelRange& range, const float* values, int64_t count, float inverse, float shift, int8_t* to) {
  const Nearest nearest(range);
  for (int64_t i = 0; i < count; i += kVector) {
    const auto lanes = size_t(std::min<int64_t>(kVector, count - i));
    Floats x{};
    std::memcpy(&x, values + i, lanes * sizeof(float));
    const Bytes level = __builtin_convertvector(__builtin_convertvector(nearest.of<Table>((x + shift) * inverse), Ints), Bytes);
    std::memcpy(to + i, &level, lanes);
  }
}

void round(const LevelRange& range, const float* values, int64_t count, float inverse, float shift, int8_t* to) {
  (range.table != nullptr ? round_all<true> : round_all<false>)(range, values, count, inverse, shift, to);
}

}  // namespace
}  // namespace pare
