#include "passes/layer_stages.h"

#include <fmt/format.h>

#include <cmath>

#include "base/threads.h"

namespace pare {
namespace {

// Layers whose inputs are all there before the first of them runs: numbers of layers, in graph order.
struct Stage {
  int node = 0;                // of its first layer
  std::vector<size_t> layers;
};

std::vector<Stage> stages_of(const Graph& graph, std::span<const PrunableLayer* const> layers) {
  const std::vector<int> producers = graph.producers();
  std::vector<size_t> order(layers.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return layers[a]->nodes[0] < layers[b]->nodes[0]; });
  std::vector<Stage> stages;
  for (size_t l : order) {
    const int node = layers[l]->nodes[0];
    const ValueId input = graph.nodes[size_t(node)].inputs[layers[l]->left ? 1 : 0];
    const bool fresh = stages.empty() || producers[size_t(input)] >= stages.back().node || layers[l]->nodes.size() > 1 || layers[stages.back().layers[0]]->nodes.size() > 1;
    if (fresh) stages.push_back({node, {}});
    stages.back().layers.push_back(l);
  }
  return stages;
}

// Bytes that a sample's values take where they take most, which one sample on its way tells.
int64_t most_bytes(const Graph& graph, const std::vector<Stage>& stages, const std::vector<Array>& sample) {
  Front front({sample}, options_for_samples(graph), true);
  int64_t most = 1;
  for (const Stage& stage : stages) {
    front.move(graph, stage.node);
    most = std::max(most, front.bytes());
  }
  return most;
}

// As many as memory holds, once for each graph, spread over all there are.
Front::Arrays some_samples(const Graph& graph, const std::vector<Stage>& stages, int graphs, const std::string& who, PassRun& pass) {
  const int64_t all = pass.samples.count, fit = std::max<int64_t>(1, pass.max_memory / graphs / most_bytes(graph, stages, pass.samples.get(0))), count = std::min(all, fit);
  if (count < all) pass.notes.push_back(fmt::format("{} of {} calibration samples were used: more would take over {} MB (--max-memory)", count, all, pass.max_memory >> 20));
  Front::Arrays samples;
  for (int64_t i = 0; i < count; ++i) {
    if (pass.progress) pass.progress(who + ": reading the calibration data", double(i), double(count));
    samples.push_back(pass.samples.get(i * all / count));
  }
  return samples;
}

// One input that is not finite spoils its own sums and those with the others.
void require_finite(const Graph& graph, const PrunableLayer& layer, const LayerColumns& columns, const StageRequest& request) {
  for (int64_t g = 0; g < layer.shape.rows / layer.shape.group_rows; ++g)
    for (const double square : columns.squares(g))
      if (!std::isfinite(square))
        throw Error(graph.nodes[size_t(layer.nodes[0])].where(), "reads values that are not finite on the calibration data", request.way_out);
}

}  // namespace

void change_in_stages(Graph& graph, std::span<const PrunableLayer* const> layers, const StageRequest& request, PassRun& pass,
                      const std::function<void(size_t layer, const LayerColumns& columns)>& change) {
  const int all_threads = threads();
  const std::vector<Stage> stages = stages_of(graph, layers);
  if (stages.empty()) return;
  Front::Arrays samples = some_samples(graph, stages, request.original != nullptr ? 2 : 1, request.who, pass);
  const int64_t positions = std::max<int64_t>(1, request.positions / int64_t(samples.size()));
  Front changed(samples, options_for_samples(graph), true), wanted(std::move(samples), options_for_samples(graph), true);
  for (size_t s = 0; s < stages.size(); ++s) {
    if (interrupted()) throw Error(request.who, "interrupted while measuring the calibration data");
    const std::string progress = fmt::format("{}: stage {} of {}", request.who, s + 1, stages.size());
    if (pass.progress) pass.progress(progress, double(s), double(stages.size()));
    std::vector<const PrunableLayer*> some;
    for (size_t l : stages[s].layers) some.push_back(layers[l]);
    std::vector<LayerColumns> columns;
    if (some[0]->nodes.size() > 1) {
      columns = measure_columns(graph, some, {false, request.original, progress, positions}, pass);
    } else {
      const std::vector<ValueId> values = read_values(graph, some);
      changed.move(graph, stages[s].node);
      if (request.original != nullptr) wanted.move(*request.original, stages[s].node);
      set_threads(all_threads);
      const auto seen = changed.values(values), was = request.original != nullptr ? wanted.values(values) : std::nullopt;
      PARE_CHECK(seen && (request.original == nullptr || was));
      columns = columns_of(graph, some, *seen, was ? &*was : nullptr, positions, pass);
    }
    for (size_t i = 0; i < some.size(); ++i) {
      require_finite(graph, *some[i], columns[i], request);
      change(stages[s].layers[i], columns[i]);
    }
  }
}

}  // namespace pare
