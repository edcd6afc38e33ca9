// One layer after the other, each measured with those in front of it pruned.
#include "passes/prune_stages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "passes/layer_stages.h"
#include "passes/solvers/prune_columns.h"
#include "passes/weights.h"

namespace pare {
namespace {

// Where a layer's bias stands. `create`: there is none, and the node takes one.
struct BiasPlace {
  int node = 0;
  size_t input = 2;
  bool create = false;
};

bool holds_rows(const Graph& graph, ValueId id, int64_t rows, const std::vector<std::vector<int>>& consumers) {
  const Tensor* bias = graph.constant(id);
  return bias != nullptr && bias->plain() && is_float(bias->type) && bias->count() == rows && !bias->dims.empty() && bias->dims.back() == rows &&
         consumers[size_t(id)].size() == 1 && !graph.is_output(id);
}

std::optional<BiasPlace> bias_of(const Graph& graph, const PrunableLayer& layer) {
  if (layer.nodes.size() != 1 || layer.left) return std::nullopt;
  const auto consumers = graph.consumers();
  const int n = layer.nodes[0];
  const Node& node = graph.nodes[size_t(n)];
  const int64_t rows = layer.shape.rows;
  if (node.is("Gemm") && (node.real("alpha", 1) != 1 || node.real("beta", 1) != 1)) return std::nullopt;
  if (node.is("Conv") || node.is("Gemm")) {
    if (node.input(2) == kNone) return BiasPlace{n, 2, true};
    if (holds_rows(graph, node.inputs[2], rows, consumers)) return BiasPlace{n, 2, false};
    return std::nullopt;
  }
  const auto& readers = consumers[size_t(node.outputs[0])];
  if (readers.size() != 1 || graph.is_output(node.outputs[0]) || !graph.nodes[size_t(readers[0])].is("Add")) return std::nullopt;
  const Node& sum = graph.nodes[size_t(readers[0])];
  const size_t other = sum.inputs[0] == node.outputs[0] ? 1 : 0;
  if (!holds_rows(graph, sum.inputs[other], rows, consumers)) return std::nullopt;
  return BiasPlace{readers[0], other, false};
}

std::vector<float> bias_values(const Graph& graph, const BiasPlace& place, int64_t rows) {
  if (place.create) return std::vector<float>(size_t(rows), 0.f);
  return graph.constant(graph.nodes[size_t(place.node)].inputs[place.input])->decode().to_floats();
}

void store_bias(Graph& graph, const BiasPlace& place, const PrunableLayer& layer, const std::vector<float>& values) {
  const Type type = graph.constant(layer.value)->type;
  if (!place.create) {
    const ValueId id = graph.nodes[size_t(place.node)].inputs[place.input];
    const Tensor& old = *graph.constant(id);
    return replace_constant(graph, id, Tensor(Array::of<float>(old.dims, values).cast(old.type)));
  }
  const ValueId id = graph.add_constant(layer.name + "_bias", Tensor(Array::of<float>({layer.shape.rows}, values).cast(type)));
  std::vector<ValueId>& inputs = graph.nodes[size_t(place.node)].inputs;
  inputs.resize(std::max<size_t>(inputs.size(), place.input + 1), kNone);
  inputs[place.input] = id;
}

void prune_layer(Graph& graph, PruneOrder& order, const LayerColumns& columns, const StageOptions& options) {
  const PrunableLayer& layer = *order.layer;
  const MatrixShape& whole = layer.shape;
  const auto bias = bias_of(graph, layer);
  std::vector<float> matrix = weight_matrix(graph, layer), biases = bias ? bias_values(graph, *bias, whole.rows) : std::vector<float>();
  const int64_t groups = whole.rows / whole.group_rows, rows = whole.group_rows, n = whole.cols + (bias ? 1 : 0);
  int64_t pruned = 0;
  double error = 0;
  for (int64_t g = 0; g < groups; ++g) {
    PruneProblem problem;
    problem.shape = {rows, whole.cols, whole.run, rows};
    problem.pattern = options.pattern;
    problem.damping = options.damping;
    problem.n = n;
    problem.products = bias ? columns.products(g) : columns.moments(g);   // the constant input only where there is a bias to take it
    problem.cross = bias ? columns.cross_products(g) : columns.cross_moments(g);
    problem.weights.resize(size_t(rows * n));
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(matrix.begin() + (g * rows + r) * whole.cols, whole.cols, problem.weights.begin() + r * n);
      if (bias) problem.weights[size_t(r * n + n - 1)] = biases[size_t(g * rows + r)];
    }
    const int64_t due = order.pruned * (g + 1) / groups - order.pruned * g / groups;
    const PrunedRows result = prune_columns(std::move(problem), due);
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(result.weights.begin() + r * n, whole.cols, matrix.begin() + (g * rows + r) * whole.cols);
      if (bias) biases[size_t(g * rows + r)] = result.weights[size_t(r * n + n - 1)];
    }
    pruned += std::count(result.mask.begin(), result.mask.end(), uint8_t(0));
    error += result.relative_error / double(groups);
  }
  order.pruned = pruned;
  order.relative_error = error;
  store_matrix(graph, layer, matrix);
  if (bias) store_bias(graph, *bias, layer, biases);
}

}  // namespace

void prune_in_stages(Graph& graph, std::vector<PruneOrder>& orders, const StageOptions& options, PassRun& pass) {
  const Graph original = graph;
  std::vector<const PrunableLayer*> layers;
  for (const PruneOrder& order : orders) layers.push_back(order.layer);
  change_in_stages(graph, layers, {"prune-weights", "prune with score=magnitude, or spare this layer (spare=)", &original, 256 * pass.samples.count}, pass, [&](size_t l, const LayerColumns& columns) { prune_layer(graph, orders[l], columns, options); });
}

}  // namespace pare
