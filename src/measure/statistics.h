#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/row.h"

namespace pare {

struct Interval {
  double low = 0, high = 0;
};

// 95 % score interval of a proportion. Wilson 1927, "Probable inference, the law of succession, and statistical
// inference".
Interval wilson_interval(int64_t successes, int64_t count);

// How two models differ on the same samples.
struct PairedCounts {
  int64_t both = 0, only_model = 0, only_baseline = 0, neither = 0;
};
// 95 % interval of the difference of two paired proportions: Newcombe 1998, "Improved confidence intervals for the
// difference between binomial proportions based on paired data", method 10 (score intervals, corrected correlation).
Interval paired_interval(const PairedCounts& counts);
// Two-sided exact McNemar test: under the null the discordant pairs fall either way with probability 1/2.
double mcnemar_p_value(int64_t better, int64_t worse);

double median(std::vector<double> values);                       // 0 for none
double percentile(std::vector<double> values, double fraction);  // linear between neighbours; 0 for none

// 95 % percentile bootstrap (Efron 1979): statistic(indices) over resampled indices of [0, count). Deterministic in
// `seed`.
Interval bootstrap_interval(int64_t count, uint64_t seed,
                            const std::function<double(std::span<const int64_t>)>& statistic);

// 95 % interval of a statistic from its values without one after the other of some equal groups (Quenouille 1956, the
// jackknife), normal.
Interval jackknife_interval(double value, std::span<const double> without_group);
double jackknife_deviation(std::span<const double> without_group);

// Σ sums / Σ counts over clusters, and its standard error by linearization (Cochran 1977, Sampling Techniques,
// section 6.3); NaN for fewer than two.
struct RatioOfSums {
  double value = 0, standard_error = 0;
};
RatioOfSums ratio_of_sums(std::span<const double> sums, std::span<const double> counts);

// `right` of `count`, with Wilson's interval.
MetricValue proportion(const char* name, int64_t right, int64_t count);

// The metric over all of `count` samples with its bootstrap interval. A value that is not finite has none.
MetricValue bootstrapped_metric(const char* name, int64_t count, uint64_t seed,
                                const std::function<double(std::span<const int64_t>)>& over_samples);

}  // namespace pare
