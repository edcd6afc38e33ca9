#include "passes/statistics/histogram.h"

#include <algorithm>
#include <cmath>

namespace pare {

void Histogram::widen(float magnitude) {
  if (limit_ == 0) {
    limit_ = magnitude;
    return;
  }
  while (limit_ < magnitude) {
    // Bins 2i and 2i+1 of each half merge toward the centre.
    std::vector<double> merged(kBins, 0.0);
    for (int i = 0; i < kBins; ++i) merged[size_t(kBins / 4 + i / 2)] += bins_[size_t(i)];
    bins_ = std::move(merged);
    limit_ *= 2;
  }
}

namespace {

// Smallest and largest finite value so far: eight running extremes, so that the compiler can use vectors. Comparisons
// with NaN are false, which leaves NaN out; infinities (masks) are left out by the second form.
ValueRange extremes(std::span<const float> values, ValueRange start) {
  constexpr size_t kLanes = 8;
  float low[kLanes], high[kLanes];
  std::fill_n(low, kLanes, start.low);
  std::fill_n(high, kLanes, start.high);
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t k = 0; k < kLanes; ++k) {
      low[k] = values[i + k] < low[k] ? values[i + k] : low[k];
      high[k] = values[i + k] > high[k] ? values[i + k] : high[k];
    }
  ValueRange range{*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
  for (size_t i = whole; i < values.size(); ++i) range = {std::min(range.low, values[i]), std::max(range.high, values[i])};
  if (std::isfinite(range.low) && std::isfinite(range.high)) return range;
  range = start;
  for (float v : values)
    if (std::isfinite(v)) range = {std::min(range.low, v), std::max(range.high, v)};
  return range;
}

}  // namespace

void Histogram::count_values(std::span<const float> values) {
  const float scale = float(kBins) / (2 * limit_);
  // Neighbouring values often fall into one bin (zeros after a ReLU): four partial counts spare the wait for the last store.
  constexpr size_t kParts = 4;
  std::vector<uint32_t> parts(kParts * kBins, 0);
  for (size_t i = 0; i < values.size(); ++i) {
    const float position = (values[i] + limit_) * scale;
    if (!(position >= 0 && position <= float(kBins))) continue;  // NaN and infinities
    parts[i % kParts * kBins + size_t(std::min(int(position), kBins - 1))] += 1;
  }
  for (size_t i = 0; i < parts.size(); ++i) bins_[i % kBins] += parts[i];
}

void Histogram::see(const Array& array) {
  const Array floats = array.cast(Type::f32);
  const auto values = floats.values<float>();
  const ValueRange range = extremes(values, {low_, high_});
  low_ = range.low;
  high_ = range.high;
  count_ += int64_t(values.size());
  if (!with_bins_) return;
  widen(std::max(-low_, high_));
  if (limit_ == 0) bins_[kBins / 2] += double(values.size());  // all zero so far
  else count_values(values);
}

namespace {

ValueRange percentile_range(const Histogram& h, double percentile) {
  double total = 0;
  for (double n : h.bins()) total += n;
  const double outside = total * (100 - percentile) / 100;
  double below = 0, above = 0;
  int first = 0, last = Histogram::kBins - 1;
  while (first < last && below + h.bins()[size_t(first)] <= outside) below += h.bins()[size_t(first++)];
  while (last > first && above + h.bins()[size_t(last)] <= outside) above += h.bins()[size_t(last--)];
  return {std::max(h.low(), h.centre(first) - h.width() / 2), std::min(h.high(), h.centre(last) + h.width() / 2)};
}

// Square error of quantizing into [range], from the bins: the values of one stand at its centre, those outside take the
// border. Zeros, half of what leaves a ReLU, lie on a step and cost nothing: were they charged with a step's mean error,
// the range would be cut for their sake, at the cost of the few large values that a network decides by.
double square_error(const Histogram& h, ValueRange range, int levels) {
  const double low = std::min(range.low, 0.f), high = std::max(range.high, 0.f), step = (high - low) / (levels - 1);
  // Steps finer than a bin: where in it the values lie decides, which only the mean knows.
  const bool resolved = step > h.width();
  double error = 0;
  for (int i = 0; i < Histogram::kBins; ++i) {
    const double n = h.bins()[size_t(i)], x = i == Histogram::kBins / 2 ? 0 : h.centre(i);
    if (n == 0 || x == 0) continue;
    const double inside = std::clamp(resolved ? std::nearbyint(x / step) * step : x, low, high) - x;
    error += n * (inside * inside + (resolved || inside != 0 ? 0 : step * step / 12));
  }
  return error;
}

// KL divergence between the distribution clipped to the range and its image on `levels` steps.
double divergence(const Histogram& h, ValueRange range, int levels) {
  const int first = std::clamp(int((range.low - h.centre(0)) / h.width() + 0.5f), 0, Histogram::kBins - 1);
  const int last = std::clamp(int((range.high - h.centre(0)) / h.width() + 0.5f), first, Histogram::kBins - 1);
  std::vector<double> p(h.bins().begin() + first, h.bins().begin() + last + 1), q(p.size(), 0);
  for (int i = 0; i < first; ++i) p.front() += h.bins()[size_t(i)];
  for (int i = last + 1; i < Histogram::kBins; ++i) p.back() += h.bins()[size_t(i)];
  const size_t n = p.size();
  for (int level = 0; level < levels; ++level) {
    const size_t a = n * size_t(level) / size_t(levels), b = std::max(a + 1, n * size_t(level + 1) / size_t(levels));
    double sum = 0, used = 0;
    for (size_t i = a; i < std::min(b, n); ++i) {
      sum += h.bins()[size_t(first) + i];
      used += p[i] > 0;
    }
    for (size_t i = a; i < std::min(b, n); ++i)
      if (p[i] > 0 && used > 0) q[i] = sum / used;
  }
  double total_p = 0, total_q = 0, result = 0;
  for (size_t i = 0; i < n; ++i) {
    total_p += p[i];
    total_q += q[i];
  }
  if (total_p == 0 || total_q == 0) return 1e30;
  for (size_t i = 0; i < n; ++i)
    if (p[i] > 0) result += p[i] / total_p * std::log((p[i] / total_p) / std::max(q[i] / total_q, 1e-12));
  return result;
}

}  // namespace

ValueRange choose_range(const Histogram& h, const std::string& method, double percentile, int levels) {
  const ValueRange full{h.low(), h.high()};
  if (method == "minmax" || h.count() == 0 || full.low == full.high) return full;
  if (method == "percentile") return percentile_range(h, percentile);
  // Both searches shrink the whole range in steps of 1 %, finer than the criteria can tell apart. Where samples are few
  // the divergence would clip without end, so it chooses only among ranges within twice the least square error.
  std::vector<ValueRange> ranges;
  std::vector<double> errors;
  for (int percent = 100; percent >= 20; --percent) {
    ranges.push_back({full.low * float(percent) / 100, full.high * float(percent) / 100});
    errors.push_back(square_error(h, ranges.back(), levels));
  }
  const auto least = size_t(std::min_element(errors.begin(), errors.end()) - errors.begin());
  if (method == "mse") return ranges[least];
  ValueRange best = full;
  double lowest = 1e300;
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (errors[i] > 2 * errors[least]) continue;
    const double cost = divergence(h, ranges[i], levels);
    if (cost < lowest) {
      lowest = cost;
      best = ranges[i];
    }
  }
  return best;
}

}  // namespace pare
