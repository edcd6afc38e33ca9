// The calibration run that fills the column products of a few layers at a time.
#include "passes/statistics/layer_columns.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/threads.h"
#include "passes/statistics/value_source.h"

namespace pare {
namespace {

struct Reading {
  ValueId value = kNone;
  ColumnView view;
};

Reading reading_of(const Graph& graph, const PrunableLayer& layer, int n) {
  const Node& node = graph.nodes[size_t(n)];
  return {node.inputs[layer.left ? 1 : 0], column_view(node, graph.constant(layer.value)->dims, layer.left)};
}

bool same_view(const ColumnView& a, const ColumnView& b) {
  return a.kernel == b.kernel && a.columns_last == b.columns_last && a.groups == b.groups && a.columns == b.columns &&
         (a.kernel.empty() || a.node.attributes == b.node.attributes);
}

// Each way in which a value is read, once, and which of them each layer needs.
struct Readings {
  std::vector<Reading> all;
  std::vector<std::vector<size_t>> of_layer;
};
Readings find_readings(const Graph& graph, std::span<const PrunableLayer* const> layers) {
  Readings readings;
  for (const PrunableLayer* layer : layers) {
    readings.of_layer.emplace_back();
    for (int n : layer->nodes) {
      Reading reading = reading_of(graph, *layer, n);
      const auto known = std::find_if(readings.all.begin(), readings.all.end(), [&](const Reading& r) { return r.value == reading.value && same_view(r.view, reading.view); });
      readings.of_layer.back().push_back(size_t(known - readings.all.begin()));
      if (known == readings.all.end()) readings.all.push_back(std::move(reading));
    }
  }
  return readings;
}

// The products of some layers' inputs, one sample after the other.
class Collector {
 public:
  Collector(const Graph& graph, std::span<const PrunableLayer* const> layers, const PositionSampler& sampler, bool squares_only) : readings_(find_readings(graph, layers)) {
    for (const Reading& reading : readings_.all) products_.push_back(std::make_shared<ColumnProducts>(reading.view, sampler, squares_only));
  }
  // A value each reading; `original`: the same of another graph, or nothing.
  void see(const std::vector<Array>& seen, const std::vector<Array>& original) {
    for (size_t k = 0; k < products_.size(); ++k) products_[k]->see(seen[k], original.empty() ? nullptr : &original[k]);
  }
  std::vector<LayerColumns> columns() const {
    std::vector<LayerColumns> result(readings_.of_layer.size());
    for (const auto& product : products_) product->finish();
    for (size_t l = 0; l < result.size(); ++l)
      for (size_t k : readings_.of_layer[l]) result[l].add(products_[k]);
    return result;
  }

 private:
  Readings readings_;
  std::vector<std::shared_ptr<ColumnProducts>> products_;
};

template <class T>
void add_to(std::vector<T>& sum, const std::vector<T>& more) {
  if (sum.empty()) sum = more;
  else for (size_t i = 0; i < sum.size() && i < more.size(); ++i) sum[i] += more[i];
}

}  // namespace

int64_t LayerColumns::positions() const {
  int64_t sum = 0;
  for (const auto& part : parts_) sum += part->positions();
  return sum;
}
std::vector<double> LayerColumns::squares(int64_t group) const {
  std::vector<double> sum;
  for (const auto& part : parts_) add_to(sum, part->squares(group));
  return sum;
}
std::vector<double> LayerColumns::products(int64_t group) const {
  std::vector<double> sum;
  for (const auto& part : parts_) add_to(sum, part->products(group));
  return sum;
}
std::vector<float> LayerColumns::cross_products(int64_t group) const {
  std::vector<float> sum;
  for (const auto& part : parts_) add_to(sum, part->cross_products(group));
  return sum;
}

namespace {

template <class T>
std::vector<T> without_last(const std::vector<T>& square) {
  const auto n = int64_t(std::llround(std::sqrt(double(square.size()))));
  std::vector<T> smaller;
  for (int64_t i = 0; i + 1 < n; ++i) smaller.insert(smaller.end(), square.begin() + i * n, square.begin() + i * n + n - 1);
  return smaller;
}

}  // namespace

std::vector<double> LayerColumns::moments(int64_t group) const { return without_last(products(group)); }
std::vector<float> LayerColumns::cross_moments(int64_t group) const { return without_last(cross_products(group)); }

std::vector<ValueId> read_values(const Graph& graph, std::span<const PrunableLayer* const> layers) {
  std::vector<ValueId> values;
  for (const Reading& reading : find_readings(graph, layers).all) values.push_back(reading.value);
  return values;
}

std::vector<LayerColumns> columns_of(const Graph& graph, std::span<const PrunableLayer* const> layers, const Front::Arrays& seen, const Front::Arrays* original, int64_t positions,
                                     const PassRun& pass) {
  Collector collector(graph, layers, {pass.seed, positions}, false);
  for (size_t i = 0; i < seen.size(); ++i) collector.see(seen[i], original != nullptr ? (*original)[i] : std::vector<Array>());
  return collector.columns();
}

std::vector<LayerColumns> measure_columns(const Graph& graph, std::span<const PrunableLayer* const> layers, const ColumnRequest& request, const PassRun& pass) {
  Collector collector(graph, layers, {pass.seed, request.positions}, request.squares_only);
  const std::vector<ValueId> values = read_values(graph, layers);
  const int all_threads = threads();
  ValueSource source(graph, values, options_for_samples(graph));
  std::optional<ValueSource> original;
  if (request.original != nullptr) original.emplace(*request.original, values, options_for_samples(*request.original));
  for (int64_t i = 0; i < pass.samples.count; ++i) {
    if (interrupted()) throw Error("calibration", "interrupted while measuring the calibration data");
    if (pass.progress) pass.progress(request.progress, double(i), double(pass.samples.count));
    const std::vector<Array> sample = pass.samples.get(i), seen = source.of(sample), wanted = original ? original->of(sample) : std::vector<Array>();
    set_threads(all_threads);
    collector.see(seen, wanted);
  }
  return collector.columns();
}

int64_t column_bytes(const Graph& graph, std::span<const PrunableLayer* const> layers, bool squares_only, bool cross) {
  int64_t bytes = 0;
  for (const Reading& reading : find_readings(graph, layers).all) bytes += ColumnProducts::bytes(reading.view, squares_only, cross);
  return bytes;
}

}  // namespace pare
