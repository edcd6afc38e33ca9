// The loops of every row, compiled once for each instruction set; included by those files only. Lanes are trials, so that nothing is
// added up across them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/float_vectors.h"
#include "kernels/scale_search/scale_search.h"

namespace pare {
namespace {

constexpr float kRound = 12582912.0f;  // 1.5 · 2²³: adding and taking it away rounds to the nearest whole number, ties to even

// A type's levels; those of a table between the halfway points of its entries.
struct Nearest {
  explicit Nearest(const ScaleLevels& levels) : least(Floats{} + levels.least), most(Floats{} + levels.most) {
    if (levels.table == nullptr) return;
    for (int i = 0; i < 16; ++i) entry[i] = Floats{} + float(levels.table[i]);
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

// The best trial so far in each lane.
struct Best {
  Floats error = Floats{} + __builtin_inff(), step{};
  Ints trial{};
};

template <bool Table>
SettledScale search_trials(const ScaleTrials& trials) {
  const Nearest nearest(trials.levels);
  Best best;
  Ints trial;
  for (int l = 0; l < kVector; ++l) trial[l] = l;
  for (int64_t t = 0; t < trials.trials; t += kVector, trial += kVector) {
    const Floats step = *reinterpret_cast<const Floats*>(trials.steps + t), inverse = 1.0f / step;
    Floats squares{}, along{}, rest{};  // Σ of weight times l², l·e and e², e being what the step leaves
    for (int64_t i = 0; i < trials.count; ++i) {
      const Floats value = Floats{} + trials.values[i], weight = Floats{} + trials.weights[i];
      const Floats level = nearest.of<Table>(value * inverse), miss = value - step * level, weighted = weight * level;
      squares += weighted * level;
      along += weighted * miss;
      rest += weight * miss * miss;
    }
    const Floats more = squares > 0.0f ? along / squares : Floats{}, error = rest - more * along;
    const Ints better = error < best.error;
    best.step = better ? step + more : best.step;
    best.trial = better ? trial : best.trial;
    best.error = better ? error : best.error;
  }
  SettledScale found;
  int32_t first = INT32_MAX;
  for (int l = 0; l < kVector; ++l) {
    const float error = best.error[l];
    if (!(error < found.error || (error == found.error && error < __builtin_inff() && best.trial[l] < first))) continue;
    found = {best.step[l], error};
    first = best.trial[l];
  }
  return found;
}

SettledScale search(const ScaleTrials& trials) {
  return trials.levels.table != nullptr ? search_trials<true>(trials) : search_trials<false>(trials);
}

template <bool Table>
void round_all(const ScaleLevels& levels, const float* values, int64_t count, float inverse, float shift, int8_t* to) {
  const Nearest nearest(levels);
  for (int64_t i = 0; i < count; i += kVector) {
    const auto lanes = size_t(std::min<int64_t>(kVector, count - i));
    Floats x{};
    std::memcpy(&x, values + i, lanes * sizeof(float));
    const Bytes level = __builtin_convertvector(__builtin_convertvector(nearest.of<Table>((x + shift) * inverse), Ints), Bytes);
    std::memcpy(to + i, &level, lanes);
  }
}

void round(const ScaleLevels& levels, const float* values, int64_t count, float inverse, float shift, int8_t* to) {
  (levels.table != nullptr ? round_all<true> : round_all<false>)(levels, values, count, inverse, shift, to);
}

}  // namespace
}  // namespace pare
