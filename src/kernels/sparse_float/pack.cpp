// Dense weights to streams of their nonzeros.
#include <algorithm>
#include <numeric>

#include "kernels/sparse_float/sparse_float.h"

namespace pare {
namespace {

// Places where any of `height` channels from `channel` on is not zero.
template <class Visit>
void visit_nonzeros(const float* weight, int64_t inputs, int64_t channel, int height, int64_t begin, int64_t end, Visit visit) {
  for (int64_t k = begin; k < end; ++k) {
    bool any = false;
    for (int h = 0; h < height; ++h) any |= weight[(channel + h) * inputs + k] != 0;
    if (any) visit(k);
  }
}

int64_t count_nonzeros(const float* weight, int64_t inputs, int64_t channel, int height) {
  int64_t count = 0;
  visit_nonzeros(weight, inputs, channel, height, 0, inputs, [&](int64_t) { ++count; });
  return count;
}

}  // namespace

double shared_fill(const float* weight, int64_t inputs, int64_t channel) {
  int64_t own = 0;
  for (int h = 0; h < 4; ++h) own += count_nonzeros(weight, inputs, channel + h, 1);
  const int64_t together = count_nonzeros(weight, inputs, channel, 4);
  return together == 0 ? 1 : double(own) / double(4 * together);
}

SparseFloatWeights pack_sparse_float(const float* weight, const float* bias, int64_t inputs, std::span<const int32_t> offsets, int64_t block, int height,
                                     std::span<const int32_t> channels) {
  SparseFloatWeights packed;
  packed.height = height;
  packed.blocks = std::max<int64_t>((inputs + block - 1) / block, 1);
  // Neighbours in the order have counts alike: the end of a stream is foreseen.
  std::vector<std::pair<int64_t, int32_t>> order;
  for (const int32_t channel : channels) order.emplace_back(count_nonzeros(weight, inputs, channel, height), channel);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [count, channel] : order) {
    packed.channels.push_back(channel);
    for (int h = 0; h < height; ++h) packed.bias.push_back(bias != nullptr ? bias[channel + h] : 0.0f);
  }
  for (int64_t b = 0; b < packed.blocks; ++b)
    for (const int32_t channel : packed.channels) {
      packed.first.push_back(int64_t(packed.offsets.size()));
      visit_nonzeros(weight, inputs, channel, height, b * block, std::min(inputs, (b + 1) * block), [&](int64_t k) {
        packed.offsets.push_back(offsets[size_t(k)]);
        for (int h = 0; h < height; ++h) packed.weights.push_back(weight[(channel + h) * inputs + k]);
      });
    }
  packed.first.push_back(int64_t(packed.offsets.size()));
  packed.offsets.resize(packed.offsets.size() + kSparseFloatAhead);
  return packed;
}

std::pair<int64_t, int64_t> SparseFloatWeights::share(int thread, int threads) const {
  if (threads == 1) return {0, groups()};
  // Beginning and ending a group costs about as much as some entries.
  constexpr int64_t kOwn = 6;
  const auto cost = [&](int64_t group) {
    int64_t sum = kOwn;
    for (int64_t b = 0; b < blocks; ++b) sum += first[size_t(b * groups() + group + 1)] - first[size_t(b * groups() + group)];
    return sum;
  };
  int64_t total = 0;
  for (int64_t g = 0; g < groups(); ++g) total += cost(g);
  const int64_t begin = total * thread / threads, end = total * (thread + 1) / threads;
  std::pair<int64_t, int64_t> share{groups(), groups()};
  int64_t sum = 0;
  for (int64_t g = 0; g < groups(); ++g) {
    const int64_t middle = sum + cost(g) / 2;
    if (middle >= begin && share.first == groups()) share.first = g;
    if (middle >= end) {
      share.second = g;
      break;
    }
    sum += cost(g);
  }
  if (share.first == groups()) share.second = groups();
  return share;
}

}  // namespace pare
