#include "engine/output_error.h"

#include <algorithm>
#include <cmath>

namespace pare {
namespace {

// Noise over signal; 0 where the values are the same, infinite where one is not a number.
double noise_ratio(const std::vector<std::vector<Array>>& results, const std::vector<std::vector<Array>>& exact, size_t output) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const Array &x = results[i][output], &y = exact[i][output];
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

}  // namespace

OutputError::OutputError(const Graph& baseline, std::vector<std::vector<Array>> samples, int threads)
    : baseline_(baseline), samples_(std::move(samples)) {
  session_.threads = threads;
  session_.tune = false;  // what is computed matters here, not how fast
  exact_ = run(baseline);
}

std::vector<std::vector<Array>> OutputError::run(const Graph& graph) const {
  std::vector<std::vector<Array>> results;
  Sessions sessions(graph, session_, 1);
  for (const auto& sample : samples_) results.push_back(sessions.of(sample).run(sample));
  return results;
}

double OutputError::sqnr_db(const Graph& graph) const {
  const auto results = run(graph);
  double ratio = 0;
  for (size_t output = 0; output < baseline_.outputs.size(); ++output) ratio = std::max(ratio, noise_ratio(results, exact_, output));
  return ratio > 0 ? -10 * std::log10(ratio) : INFINITY;
}

double OutputError::sqnr_db(const Graph& donor, const SharedLayer& layer, Graft what) const {
  Graph host = baseline_;  // constants are shared
  graft_layer(host, layer.first, donor, layer.second, what);
  infer_shapes(host);
  return sqnr_db(host);
}

}  // namespace pare
