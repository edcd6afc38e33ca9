#include "passes/solvers/small_sums.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace pare {
namespace {

constexpr float kLargest = 127, kMostSum = 128;

// A row of one output channel: weights in steps, and integers.
struct Row {
  std::span<const float> exact;
  std::span<float> levels;
};

// The weights of one group and one sign, as long as their sum is too large: the one that loses least gives up a step.
// Errors are convex, so the sum is reached at the least squared error.
void shrink(const Row& row, std::span<const int64_t> group, float sign) {
  float sum = 0;
  for (int64_t i : group) sum += std::max(0.f, sign * row.levels[size_t(i)]);
  for (; sum > kMostSum; --sum) {
    int64_t chosen = -1;
    float least = INFINITY;
    for (int64_t i : group) {
      const float level = sign * row.levels[size_t(i)], beyond = level - sign * row.exact[size_t(i)];
      const float loss = 1 - 2 * beyond;  // (beyond − 1)² − beyond²
      if (level > 0 && loss < least) {
        least = loss;
        chosen = i;
      }
    }
    row.levels[size_t(chosen)] -= sign;
  }
}

// To the nearest integers. Adding what a float's last bit is worth 1 at rounds to even, in vectors; std::nearbyint
// would not.
void round_all(std::span<const float> exact, std::span<float> levels) {
  constexpr float kWhole = 12582912;  // 1.5 · 2^23
  for (size_t i = 0; i < exact.size(); ++i) levels[i] = (std::clamp(exact[i], -kLargest, kLargest) + kWhole) - kWhole;
}

void round_row(const Row& row) {
  const auto count = int64_t(row.exact.size());
  round_all(row.exact, row.levels);
  for (int64_t first = 0; first < count; first += 8)
    for (int64_t half : {0, 2}) {
      int64_t group[4];
      size_t members = 0;
      float sum = 0;
      for (int64_t i : {first + half, first + half + 1, first + half + 4, first + half + 5})
        if (i < count) {
          group[members++] = i;
          sum += std::abs(row.levels[size_t(i)]);
        }
      if (sum <= kMostSum) continue;
      for (float sign : {1.f, -1.f}) shrink(row, {group, members}, sign);
    }
}

// Sums of a · b.
double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  constexpr size_t kRun = 512;  // in float, so that the compiler can use vectors
  for (size_t first = 0; first < a.size(); first += kRun) {
    float parts[8] = {};
    for (size_t i = first; i < std::min(first + kRun, a.size()); ++i) parts[i % 8] += a[i] * b[i];
    sum += std::accumulate(std::begin(parts), std::end(parts), 0.0);
  }
  return sum;
}

}  // namespace

WeightOrder weight_order(std::span<const int64_t> dims, int axis) {
  WeightOrder order;
  if (axis != 0) {
    if (dims.size() != 2) return order;
    order.row = dims[0];
    for (int64_t k = 0; k < dims[0]; ++k) order.offsets.push_back(k * dims[1]);
    return order;
  }
  const int64_t inputs = dims[1], columns = dims.size() > 2 ? dims.back() : 1;
  const int64_t taps = std::accumulate(dims.begin() + 2, dims.end(), int64_t(1), std::multiplies<>());
  if (inputs < 2) return order;
  order.row = columns * inputs;
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t input = 0; input < inputs; ++input) order.offsets.push_back(input * taps + tap);
  return order;
}

void round_to_small_sums(std::span<const float> weights, const WeightOrder& order, float& scale, std::span<int32_t> levels) {
  constexpr int kTrials = 16;  // four times the range always fits
  const size_t count = order.offsets.size(), length = size_t(order.row);
  std::vector<float> ordered(count), exact(count), tried(count), best(count);
  for (size_t i = 0; i < count; ++i) ordered[i] = weights[size_t(order.offsets[i])];
  double most = 0;  // of what a scale can explain: Σ (w − s·q)² is least, Σ w² − (Σ w·q)² / Σ q², at s = Σ w·q / Σ q²
  const float first = scale;
  for (int trial = 0; trial <= kTrials && first > 0; ++trial) {
    const float step = first * std::exp2(2 * float(trial) / kTrials);
    for (size_t i = 0; i < count; ++i) exact[i] = ordered[i] / step;
    for (size_t at = 0; at < count; at += length) round_row({std::span(exact).subspan(at, length), std::span(tried).subspan(at, length)});
    const double both = product(ordered, tried), squares = product(tried, tried);
    if (!(squares > 0 && both * both / squares > most)) continue;
    most = both * both / squares;
    scale = float(both / squares);
    best.swap(tried);
  }
  for (size_t i = 0; i < count; ++i) levels[size_t(order.offsets[i])] = int32_t(best[i]);
}

}  // namespace pare
