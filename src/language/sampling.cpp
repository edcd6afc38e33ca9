#include "language/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pare {

int64_t Sampler::choose(std::span<const float> scores) {
  const auto most = std::max_element(scores.begin(), scores.end());
  if (options_.temperature <= 0 || scores.empty()) return most - scores.begin();
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), int64_t(0));
  const auto above = [&](int64_t a, int64_t b) { return scores[size_t(a)] != scores[size_t(b)] ? scores[size_t(a)] > scores[size_t(b)] : a < b; };
  if (options_.top_k > 0 && options_.top_k < int64_t(order.size())) {
    std::partial_sort(order.begin(), order.begin() + options_.top_k, order.end(), above);
    order.resize(size_t(options_.top_k));
  } else {
    std::sort(order.begin(), order.end(), above);
  }
  std::vector<double> weights(order.size());
  double sum = 0;
  for (size_t i = 0; i < order.size(); ++i) sum += weights[i] = std::exp((double(scores[size_t(order[i])]) - double(*most)) / options_.temperature);
  double kept = 0;
  size_t count = 0;
  while (count < weights.size() && (count == 0 || kept < options_.top_p * sum)) kept += weights[count++];
  double place = random_.uniform() * kept;
  for (size_t i = 0; i < count; ++i)
    if ((place -= weights[i]) < 0) return order[i];
  return order[count - 1];
}

}  // namespace pare
