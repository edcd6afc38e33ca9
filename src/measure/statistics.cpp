#include "measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace pare {
namespace {
constexpr double kZ95 = 1.959963984540054;  // standard normal quantile of 0.975
constexpr int kResamples = 2000;            // the 2.5 % ends then rest on 50 resamples each
}  // namespace

Interval wilson_interval(int64_t successes, int64_t count) {
  if (count == 0) return {0, 1};
  const double n = double(count), p = double(successes) / n, z2 = kZ95 * kZ95;
  const double center = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kZ95 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // At the ends the formula gives 0 and 1 exactly; rounding must not leave the range.
  return {successes == 0 ? 0 : std::max(0.0, center - half), successes == count ? 1 : std::min(1.0, center + half)};
}

Interval paired_interval(const PairedCounts& counts) {
  const double a = double(counts.both), b = double(counts.only_model), c = double(counts.only_baseline),
               d = double(counts.neither);
  const double n = a + b + c + d;
  if (n == 0) return {-1, 1};
  const double p1 = (a + b) / n, p2 = (a + c) / n;
  const Interval i1 = wilson_interval(counts.both + counts.only_model, int64_t(n));
  const Interval i2 = wilson_interval(counts.both + counts.only_baseline, int64_t(n));
  const double margins = (a + b) * (c + d) * (a + c) * (b + d);
  double covariance = a * d - b * c;
  if (covariance > 0) covariance = std::max(covariance - n / 2, 0.0);
  const double phi = margins > 0 ? covariance / std::sqrt(margins) : 0;
  const auto reach = [phi](double x, double y) { return std::sqrt(std::max(0.0, x * x - 2 * phi * x * y + y * y)); };
  return {p1 - p2 - reach(p1 - i1.low, i2.high - p2), p1 - p2 + reach(i1.high - p1, p2 - i2.low)};
}

double mcnemar_p_value(int64_t better, int64_t worse) {
  const int64_t n = better + worse, least = std::min(better, worse);
  if (n == 0) return 1;
  double tail = 0;  // P(X <= least), X binomial(n, 1/2); in logarithms, since n choose k leaves double's range
  for (int64_t k = 0; k <= least; ++k)
    tail += std::exp(std::lgamma(double(n) + 1) - std::lgamma(double(k) + 1) - std::lgamma(double(n - k) + 1) -
                     double(n) * std::log(2.0));
  return std::min(1.0, 2 * tail);
}

double percentile(std::vector<double> values, double fraction) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = fraction * double(values.size() - 1);
  const size_t below = size_t(at), above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - double(below)) * (values[above] - values[below]);
}

double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

Interval bootstrap_interval(int64_t count, uint64_t seed,
                            const std::function<double(std::span<const int64_t>)>& statistic) {
  if (count == 0) return {};
  Random random(seed);
  std::vector<int64_t> indices(static_cast<size_t>(count));
  std::vector<double> results;
  for (int i = 0; i < kResamples; ++i) {
    for (int64_t& index : indices) index = int64_t(random.below(uint64_t(count)));
    results.push_back(statistic(indices));
  }
  return {percentile(results, 0.025), percentile(results, 0.975)};
}

double jackknife_deviation(std::span<const double> without_group) {
  const double count = double(without_group.size()), mean = std::accumulate(without_group.begin(), without_group.end(), 0.0) / count;
  double squares = 0;
  for (double value : without_group) squares += (value - mean) * (value - mean);
  return std::sqrt((count - 1) / count * squares);
}

Interval jackknife_interval(double value, std::span<const double> without_group) {
  const double reach = 1.959964 * jackknife_deviation(without_group);  // of the normal distribution, 2.5 % on each side
  return {value - reach, value + reach};
}

RatioOfSums ratio_of_sums(std::span<const double> sums, std::span<const double> counts) {
  const double n = double(sums.size()), count = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double value = std::accumulate(sums.begin(), sums.end(), 0.0) / count;
  double squares = 0;
  for (size_t i = 0; i < sums.size(); ++i) squares += (sums[i] - value * counts[i]) * (sums[i] - value * counts[i]);
  return {value, n < 2 ? NAN : std::sqrt(n / (n - 1) * squares) / count};
}

MetricValue proportion(const char* name, int64_t right, int64_t count) {
  const Interval interval = wilson_interval(right, count);
  return {name, count > 0 ? double(right) / double(count) : 0, interval.low, interval.high, count, true};
}

MetricValue bootstrapped_metric(const char* name, int64_t count, uint64_t seed,
                                const std::function<double(std::span<const int64_t>)>& over_samples) {
  std::vector<int64_t> all(static_cast<size_t>(count));
  std::iota(all.begin(), all.end(), int64_t(0));
  const double value = all.empty() ? 0 : over_samples(all);
  const Interval interval =
      std::isfinite(value) ? bootstrap_interval(count, seed, over_samples) : Interval{value, value};
  return {name, value, interval.low, interval.high, count, true};
}

}  // namespace pare
