#include "engine/output_error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pare {
namespace {

// Noise over signal; 0 where the values are the same, infinite where one is not a number.
double noise_ratio(const std::vector<std::vector<Array>>& results, size_t result, const std::vector<std::vector<Array>>& exact, size_t output) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const Array &x = results[i][result], &y = exact[i][output];
    if (!is_float(y.type()) || x.count() != y.count()) continue;
    const std::vector<float> ours = x.to_floats(), theirs = y.to_floats();
    for (size_t k = 0; k < ours.size(); ++k) {
      if (!std::isfinite(theirs[k])) continue;
      signal += double(theirs[k]) * theirs[k];
      noise += (double(ours[k]) - theirs[k]) * (double(ours[k]) - theirs[k]);
    }
  }
  if (std::isnan(noise)) return INFINITY;
  return signal > 0 ? noise / signal : 0;
}

// Sums in another order, as in a layer fused elsewhere, leave less: nothing differs.
constexpr double kSameRatio = 1e-11;

SessionOptions untuned(int threads) {
  SessionOptions options;
  options.threads = threads;
  options.tune = false;  // what is computed matters here, not how fast
  return options;
}

}  // namespace

double noise_over_signal(double db) { return std::isinf(db) && db > 0 ? 0 : std::pow(10, -db / 10); }
double signal_over_noise_db(double ratio) { return ratio > 0 ? -10 * std::log10(ratio) : INFINITY; }

OutputError::OutputError(const Graph& baseline, std::vector<std::vector<Array>> samples, int threads)
    : baseline_(baseline), samples_(std::move(samples)), session_(untuned(threads)), front_(samples_, session_) {
  infer_shapes(baseline_);
  exact_ = run_samples(baseline_, samples_, session_);
}

// `results` hold the outputs of these numbers; the others are the baseline's.
double OutputError::worst_db(const Arrays& results, const std::vector<size_t>& outputs) const {
  double ratio = 0;
  for (size_t i = 0; i < outputs.size(); ++i) ratio = std::max(ratio, noise_ratio(results, i, exact_, outputs[i]));
  return signal_over_noise_db(ratio > kSameRatio ? ratio : 0);
}

double OutputError::sqnr_db(const Graph& graph) const {
  std::vector<size_t> all(baseline_.outputs.size());
  std::iota(all.begin(), all.end(), size_t(0));
  return worst_db(run_samples(graph, samples_, session_), all);
}

double OutputError::sqnr_db(const Graph& donor, const SharedLayer& layer, Graft what) {
  Graph host = baseline_;
  graft_layer(host, layer.first, donor, layer.second, what);
  infer_shapes(host);
  return sqnr_db(host, layer.first);
}

double OutputError::sqnr_db(const Graph& changed, int node) {
  front_.move(baseline_, node);
  std::vector<char> before = values_before(baseline_, node);
  before.resize(changed.values.size(), 0);
  const Rest rest = rest_of(changed, before);
  const auto given = front_.values(rest.reads);
  if (!given) return sqnr_db(changed);  // the other form reads what lies further in front
  std::vector<ValueId> outputs;
  std::vector<size_t> numbers;
  for (size_t i = 0; i < changed.outputs.size(); ++i)
    if (!before[size_t(changed.outputs[i])]) {
      outputs.push_back(changed.outputs[i]);
      numbers.push_back(i);
    }
  return outputs.empty() ? INFINITY : worst_db(run_samples(part_of(changed, rest, outputs), *given, session_), numbers);
}

}  // namespace pare
