#include "kernels/conv_int8/join_steps.h"

#include <algorithm>
#include <utility>

#include "kernels/conv_int8/blocks.h"

namespace pare {
namespace {

// Inputs are at most 255, and 255 x 128 < 2^15: products of weights of one sign that sum up to this fit 16 bits, and so
// does what comes of them and weights of the other sign.
constexpr int kMost = 128;

// Steps whose products one widening takes.
struct Joined {
  std::vector<int> steps;
  std::vector<std::uint8_t>
      sums;      // of each pair of weights, over the steps: the positive ones', then the negative ones'
  int most = 0;  // of `sums`
};

Joined one_step(int step, const std::int8_t* weights, std::size_t count) {
  Joined joined{{step}, std::vector<std::uint8_t>(count), 0};
  for (std::size_t i = 0; i < count; i += 2) {
    const int a = weights[i], b = weights[i + 1];
    joined.sums[i / 2] = static_cast<std::uint8_t>(std::max(a, 0) + std::max(b, 0));
    joined.sums[(count + i) / 2] = static_cast<std::uint8_t>(std::min(255, -std::min(a, 0) - std::min(b, 0)));
  }
  joined.most = *std::max_element(joined.sums.begin(), joined.sums.end());
  return joined;
}

bool fit_together(const Joined& a, const Joined& b) {
  constexpr std::size_t kAtOnce = 32;  // without a branch
  for (std::size_t i = 0; i < a.sums.size(); i += kAtOnce) {
    int most = 0;
    for (std::size_t j = i; j < std::min(i + kAtOnce, a.sums.size()); ++j) most = std::max(most, a.sums[j] + b.sums[j]);
    if (most > kMost) return false;
  }
  return true;
}

void join(Joined& to, Joined& from) {
  to.steps.insert(to.steps.end(), from.steps.begin(), from.steps.end());
  for (std::size_t i = 0; i < to.sums.size(); ++i) to.sums[i] = static_cast<std::uint8_t>(to.sums[i] + from.sums[i]);
  to.most = *std::max_element(to.sums.begin(), to.sums.end());
  from.steps.clear();
}

// Takes out what was joined to others.
void drop_taken(std::vector<Joined>& units) {
  std::erase_if(units, [](const Joined& unit) { return unit.steps.empty(); });
}

// Neighbours of a run, which fit where weights were chosen for it.
std::vector<Joined> join_neighbours(std::vector<Joined>& units, int steps) {
  std::vector<Joined> pairs;
  for (std::size_t i = 0; i + 1 < units.size(); ++i) {
    const int step = units[i].steps[0];
    const int place = step % steps;
    if (place % 2 != 0 || place + 1 == steps || units[i + 1].steps[0] != step + 1 ||
        !fit_together(units[i], units[i + 1]))
      continue;
    join(units[i], units[i + 1]);
    pairs.push_back(std::move(units[i]));
    units[i].steps.clear();
    ++i;
  }
  drop_taken(units);
  return pairs;
}

// Moves pairs from `units` to `pairs`. The largest looks first, among the smallest: those would fit anything.
void join_any(std::vector<Joined>& units, std::vector<Joined>& pairs) {
  constexpr int kTries = 32;
  std::stable_sort(units.begin(), units.end(), [](const Joined& a, const Joined& b) { return a.most > b.most; });
  std::size_t end = units.size();  // behind it all are taken
  for (std::size_t i = 0; i < end; ++i) {
    if (units[i].steps.empty()) continue;
    while (end > i + 1 && units[end - 1].steps.empty()) --end;
    int tries = kTries;
    for (std::size_t j = end - 1; j > i && tries > 0; --j) {
      if (units[j].steps.empty()) continue;
      --tries;
      if (!fit_together(units[i], units[j])) continue;
      join(units[i], units[j]);
      pairs.push_back(std::move(units[i]));
      units[i].steps.clear();
      break;
    }
  }
  drop_taken(units);
}

// A list that is being filled.
struct Filling {
  ConvInt8StepList& list;
  std::vector<std::int8_t> bytes;

  void begin_block() { list.begins.push_back({list.offsets.size(), bytes.size()}); }
  void end() {
    begin_block();
    list.weights.assign(bytes.size() / sizeof(Int8Line) + 1, Int8Line{});
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::int8_t*>(list.weights.front().bytes));
  }
};

// Inputs 0 and 2 of every four, then 1 and 3: a kernel gets at these by a mask and by a shift.
void append_wide(std::vector<std::int8_t>& to, const std::int8_t* weights, std::size_t count) {
  for (int odd = 0; odd < 2; ++odd) {
    for (std::size_t i = odd; i < count; i += 2) {
      to.push_back(weights[i]);
      to.push_back(weights[i] < 0 ? -1 : 0);  // the high byte of an s16
    }
  }
}

}  // namespace

void join_steps(PackedConvInt8& packed, int lanes, bool without_zeros) {
  const ConvInt8Blocks blocks = conv_int8_blocks(packed, lanes);
  std::vector<Filling> joined;
  for (ConvInt8StepList& list : packed.joined) joined.push_back({list, {}});
  Filling wide{packed.wide, {}};
  std::vector<std::ptrdiff_t> offsets;
  for (const std::ptrdiff_t run : packed.run_offsets)
    for (int step = 0; step < packed.steps; ++step) offsets.push_back(run + step * kConvInt8Step);
  for (int i = 0; i < packed.shape.groups * blocks.count; ++i) {
    const int block = i % blocks.count, first = blocks.begin(block);
    const std::size_t count = std::size_t(blocks.begin(block + 1) - first) * lanes * kConvInt8Step;
    const auto* weights = reinterpret_cast<const std::int8_t*>(packed.weights.front().bytes) +
                          blocks.vector_bytes * (std::size_t(i / blocks.count) * blocks.vectors + first);
    for (Filling& list : joined) list.begin_block();
    wide.begin_block();
    std::vector<Joined> units;
    for (std::size_t step = 0; step < offsets.size(); ++step) {
      const std::int8_t* of_step = weights + step * count;
      if (without_zeros && std::all_of(of_step, of_step + count, [](int weight) { return weight == 0; })) continue;
      Joined unit = one_step(static_cast<int>(step), of_step, count);
      if (unit.most <= kMost) {
        units.push_back(std::move(unit));
        continue;
      }
      wide.list.offsets.push_back(offsets[step]);
      append_wide(wide.bytes, of_step, count);
    }
    for (std::size_t level = 0; level < joined.size(); ++level) {
      std::vector<Joined> pairs;
      if (level == 0) pairs = join_neighbours(units, packed.steps);
      if (level + 1 < joined.size()) join_any(units, pairs);
      for (const Joined& unit : units)
        for (int step : unit.steps) {
          joined[level].list.offsets.push_back(offsets[std::size_t(step)]);
          joined[level].bytes.insert(joined[level].bytes.end(), weights + step * count, weights + (step + 1) * count);
        }
      units = std::move(pairs);
    }
  }
  for (Filling& list : joined) list.end();
  wide.end();
  packed.weights.clear();
}

}  // namespace pare
