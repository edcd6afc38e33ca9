// Which weights of a graph can be pruned, how they lie as matrices, and which are better left alone.
#include "passes/prune_layers.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "codecs/codecs.h"
#include "graph/simplify.h"
#include "passes/weights.h"

namespace pare {
namespace {

PrunableLayer layer_of(const Graph& graph, const WeightUse& use) {
  const Node& node = graph.nodes[size_t(use.node)];
  const Dims& dims = graph.constant(use.value)->dims;
  PrunableLayer layer;
  layer.value = use.value;
  layer.nodes = {use.node};
  layer.name = node.name.empty() ? node.op_type + " " + graph.at(node.outputs[0]).name : node.name;
  layer.convolution = node.is("Conv");
  if (layer.convolution) {
    const int64_t groups = std::max<int64_t>(node.integer("group", 1), 1);
    layer.taps = count_of(dims) / std::max<int64_t>(dims[0] * dims[1], 1);
    layer.shape = {dims[0], dims[1] * layer.taps, dims[1], dims[0] / groups};
    layer.perimeter = dims[0] + dims[1];
    for (size_t i = 2; i < dims.size(); ++i) layer.perimeter += dims[i];
  } else {
    layer.left = node.is("MatMul") && use.input == 0;
    layer.transposed = use.channel_axis == 1;
    const int64_t rows = dims[size_t(use.channel_axis)], cols = dims[size_t(1 - use.channel_axis)];
    layer.shape = {rows, cols, cols, rows};
    layer.perimeter = rows + cols;
  }
  return layer;
}

bool same_matrix(const PrunableLayer& a, const PrunableLayer& b) {
  return a.shape == b.shape && a.transposed == b.transposed && a.left == b.left && a.taps == b.taps;
}

std::vector<char> nodes_of(const Graph& graph, const std::vector<PrunableLayer>& layers) {
  std::vector<char> among(graph.nodes.size(), 0);
  for (const PrunableLayer& layer : layers)
    for (int n : layer.nodes) among[size_t(n)] = 1;
  return among;
}

bool holds_zero_as_zero(const Tensor& tensor) {
  if (tensor.codec != &codec_int8) return false;
  if (tensor.parts.size() < 3 || tensor.parts[2].empty()) return true;
  const std::vector<int64_t> zeros = tensor.parts[2].aligned().to_integers();
  return std::all_of(zeros.begin(), zeros.end(), [](int64_t z) { return z == 0; });
}

Tensor zeroed_codes(const Tensor& tensor, const Array& values, const std::string& name) {
  if (!holds_zero_as_zero(tensor))
    throw Error(name, fmt::format("its weight is stored as {}, which cannot be pruned in place", tensor.codec->name), "put prune-weights in front of the quantization");
  Tensor pruned = tensor;
  const auto before = tensor.decode().to_floats();
  const auto after = values.values<float>();
  Array codes = tensor.parts[0].aligned();
  auto out = codes.mutable_values<int8_t>();
  for (size_t i = 0; i < out.size(); ++i) {
    if (after[i] == 0) out[i] = 0;
    else if (after[i] != before[i]) throw Error(name, "its weight is stored in int8, and this score changes the weights that it keeps", "put prune-weights in front of the quantization, or use score=magnitude or score=wanda");
  }
  pruned.parts[0] = codes;
  return pruned;
}

}  // namespace

std::vector<PrunableLayer> prunable_layers(const Graph& graph) {
  std::vector<PrunableLayer> layers;
  std::map<ValueId, size_t> known;
  const auto consumers = graph.consumers();
  std::map<ValueId, size_t> uses;
  for (const WeightUse& use : weight_uses(graph)) {
    const Node& node = graph.nodes[size_t(use.node)];
    const Dims& dims = graph.constant(use.value)->dims;
    const bool matrix = (node.is("Gemm") || node.is("MatMul")) && dims.size() == 2;
    if (!(node.is("Conv") || matrix) || count_of(dims) == 0) continue;
    ++uses[use.value];
    const PrunableLayer layer = layer_of(graph, use);
    const auto [at, added] = known.try_emplace(use.value, layers.size());
    if (added) {
      layers.push_back(layer);
    } else {
      PrunableLayer& first = layers[at->second];
      first.nodes.push_back(use.node);
      first.same_matrix = first.same_matrix && same_matrix(first, layer);
      if (!first.same_matrix) first.spared = "its weight is read as different matrices";
    }
  }
  for (PrunableLayer& layer : layers) {
    const size_t readers = consumers[size_t(layer.value)].size() + (graph.is_output(layer.value) ? 1 : 0);
    const Node& node = graph.nodes[size_t(layer.nodes[0])];
    if (layer.nodes.size() == 1) layer.factors = batch_norm_factors(graph, node, consumers);
    if (readers > uses[layer.value] && layer.spared.empty()) layer.spared = "its weight is also read otherwise (an embedding, for example)";
  }
  return layers;
}

std::vector<char> last_layers(const Graph& graph, const std::vector<PrunableLayer>& layers) {
  const std::vector<char> read_on = nodes_beyond(graph, nodes_of(graph, layers), false);
  std::vector<char> last;
  for (const PrunableLayer& layer : layers) last.push_back(!read_on[size_t(layer.nodes[0])]);
  return last;
}

void spare_layers(const Graph& graph, const std::string& spare, std::vector<PrunableLayer>& layers) {
  const std::vector<std::string> names = names_in(spare);
  const bool automatic = std::count(names.begin(), names.end(), "auto") != 0;
  const std::vector<char> among = nodes_of(graph, layers);
  int64_t total = 0;
  for (const PrunableLayer& layer : layers) total += layer.shape.count();
  const std::vector<char> fed = nodes_beyond(graph, among, true), read_on = nodes_beyond(graph, among, false);
  const auto reason = [&](const PrunableLayer& layer) -> std::string {
    for (int n : layer.nodes)
      if (name_matches(spare, graph.nodes[size_t(n)])) return "spared by the recipe";
    if (!automatic) return "";
    const Node& node = graph.nodes[size_t(layer.nodes[0])];
    const double share = double(layer.shape.count()) / double(total);
    // Where these hold much of the model, sparing them would cost the others more than it saves.
    constexpr double small = 0.05;
    if (node.is("Conv") && layer.shape.run == 1 && layer.shape.group_rows < layer.shape.rows) return "depthwise: each output has one input channel";
    if (share > small) return "";
    if (node.is("Conv") && !fed[size_t(layer.nodes[0])]) return fmt::format("first convolution, {:.2g} % of the weights: all others build on it", 100 * share);
    if (!read_on[size_t(layer.nodes[0])]) return fmt::format("last layer, {:.2g} % of the weights: nothing behind it makes up for its errors", 100 * share);
    return "";
  };
  for (PrunableLayer& layer : layers)
    if (layer.spared.empty()) layer.spared = reason(layer);
}

std::vector<float> weight_matrix(const Graph& graph, const PrunableLayer& layer) { return as_matrix(layer, graph.constant(layer.value)->decode().to_floats()); }

std::vector<float> as_matrix(const PrunableLayer& layer, std::span<const float> values) {
  std::vector<float> matrix(values.size());
  for_matrix_order(layer, [&](size_t at, size_t stored) { matrix[at] = values[stored]; });
  return matrix;
}

std::vector<float> merged_matrix(const Graph& graph, const PrunableLayer& layer) {
  std::vector<float> matrix = weight_matrix(graph, layer);
  if (!layer.factors.empty())
    for (size_t i = 0; i < matrix.size(); ++i) matrix[i] *= float(layer.factors[i / size_t(layer.shape.cols)]);
  return matrix;
}

void store_matrix(Graph& graph, const PrunableLayer& layer, std::span<const float> matrix) {
  const Tensor& tensor = *graph.constant(layer.value);
  Array values(Type::f32, tensor.dims);
  auto out = values.mutable_values<float>();
  for_matrix_order(layer, [&](size_t at, size_t stored) { out[stored] = matrix[at]; });
  if (tensor.plain()) return replace_constant(graph, layer.value, Tensor(values.cast(tensor.type)));
  if (tensor.codec == &codec_float16 || tensor.codec == &codec_bfloat16) return replace_constant(graph, layer.value, tensor.codec->encode(values, tensor.axis, tensor.group));
  replace_constant(graph, layer.value, zeroed_codes(tensor, values, graph.nodes[size_t(layer.nodes[0])].where()));
}

}  // namespace pare
