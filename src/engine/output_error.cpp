#include "engine/output_error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/threads.h"

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

// Σ p·ln(p/q) of a row, p from the exact scores: ln Σ p·e^d of what moved, d, from its mean on, so that little is not lost in rounding. `p`: memory
// for a row.
double divergence(const float* scores, const float* exact, int64_t count, float* p) {
  const float most = *std::max_element(exact, exact + count);
  double sum = 0, mean = 0, beyond = 0;
  for (int64_t k = 0; k < count; ++k) sum += p[k] = std::exp(exact[k] - most);
  for (int64_t k = 0; k < count; ++k)
    if (std::isfinite(exact[k])) mean += p[k] * (double(scores[k]) - exact[k]);
  mean /= sum;
  for (int64_t k = 0; k < count; ++k) {
    if (!std::isfinite(exact[k])) continue;  // a token that is masked
    const double moved = double(scores[k]) - exact[k] - mean;
    beyond += p[k] * (std::abs(moved) < 1e-3 ? moved * moved * (0.5 + moved / 6) : std::exp(moved) - 1 - moved);
  }
  return std::log1p(beyond / sum);
}

// The mean over all rows of the last axis; infinite where a score is not a number.
double mean_divergence(const std::vector<std::vector<Array>>& results, size_t result, const std::vector<std::vector<Array>>& exact, size_t output) {
  double sum = 0;
  int64_t rows = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const Array ours = results[i][result].cast(Type::f32), theirs = exact[i][output].cast(Type::f32);
    if (ours.count() != theirs.count() || ours.count() == 0) continue;
    const int64_t length = theirs.dims().back(), count = theirs.count() / length;
    std::vector<double> each(static_cast<size_t>(count));
    parallel_for(count, [&](int64_t first, int64_t last) {
      std::vector<float> p(static_cast<size_t>(length));
      for (int64_t r = first; r < last; ++r) each[size_t(r)] = divergence(ours.values<float>().data() + r * length, theirs.values<float>().data() + r * length, length, p.data());
    });
    sum = std::accumulate(each.begin(), each.end(), sum);
    rows += count;
  }
  if (std::isnan(sum)) return INFINITY;
  return rows > 0 ? sum / double(rows) : 0;
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

Difference difference_for(const Graph& graph) {
  const bool ids = std::any_of(graph.inputs.begin(), graph.inputs.end(), [&](ValueId id) { return is_integer(graph.at(id).type); });
  const auto& scores = graph.outputs.size() == 1 ? graph.at(graph.outputs[0]).shape : std::nullopt;
  if (!ids || !scores || scores->size() != 3) return Difference::noise;
  const bool tokens = std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    const Tensor* table = node.is("Gather") && node.integer("axis", 0) == 0 ? graph.constant(node.inputs[0]) : nullptr;
    return table != nullptr && table->dims.size() == 2 && table->dims[0] == scores->back().value;
  });
  return tokens ? Difference::divergence : Difference::noise;
}

OutputError::OutputError(const Graph& baseline, std::vector<std::vector<Array>> samples, int threads, Difference difference)
    : baseline_(baseline), samples_(std::move(samples)), session_(untuned(threads)), difference_(difference), front_(samples_, session_) {
  infer_shapes(baseline_);
  exact_ = run_samples(baseline_, samples_, session_);
}

// `results` hold the outputs of these numbers; the others are the baseline's.
double OutputError::worst_db(const Arrays& results, const std::vector<size_t>& outputs) const {
  double ratio = 0;
  const auto ratio_of = difference_ == Difference::divergence ? mean_divergence : noise_ratio;
  for (size_t i = 0; i < outputs.size(); ++i) ratio = std::max(ratio, ratio_of(results, i, exact_, outputs[i]));
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
