#include "graph/adapters.h"

#include <algorithm>

namespace pare {
namespace {

constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight", kScale = ".lora_scale", kWeight = ".weight";

std::string layer_name(const std::string& weight) {
  return weight.ends_with(kWeight) ? weight.substr(0, weight.size() - kWeight.size()) : weight;
}

Array transposed(const Array& matrix) {
  const int64_t rows = matrix.dim(0), cols = matrix.dim(1);
  Array result(Type::f32, {cols, rows});
  const auto from = matrix.values<float>();
  auto to = result.mutable_values<float>();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c) to[size_t(c * rows + r)] = from[size_t(r * cols + c)];
  return result;
}

bool lies_transposed(const Node& layer) {
  return layer.is("MatMul") || (layer.is("Gemm") && layer.integer("transB", 0) == 0);
}

bool alone(const Graph& graph, ValueId weight) {
  int readers = 0;
  for (const Node& node : graph.nodes) readers += int(std::count(node.inputs.begin(), node.inputs.end(), weight));
  return readers == 1 && !graph.is_output(weight);
}

// What a node of `type` makes of x and a constant beside the layer.
ValueId branch(Graph& graph, const std::string& type, ValueId x, ValueId constant, const std::string& name,
               std::map<std::string, Attribute> attributes = {}) {
  const ValueId out = graph.add_value(graph.unique_name(name), Type::f32);
  Node& node = graph.add_node(type, {x, constant}, {out});
  node.name = graph.at(out).name;
  node.attributes = std::move(attributes);
  return out;
}

int only_reader(const std::vector<std::vector<int>>& readers, ValueId id) {
  return id != kNone && readers[size_t(id)].size() == 1 ? readers[size_t(id)][0] : -1;
}

// The adapter whose A is the constant `a`, where its nodes are those that add_adapter makes.
std::optional<Adapter> adapter_of(const Graph& graph, ValueId a, const std::vector<std::vector<int>>& readers,
                                  const std::vector<int>& producers) {
  const std::string& name = graph.at(a).name;
  const std::string layer = name.substr(0, name.size() - kA.size());
  const ValueId b = graph.find(layer + std::string(kB)), scale = graph.find(layer + std::string(kScale));
  Adapter found;
  found.down = only_reader(readers, a);
  found.up = only_reader(readers, b);
  found.scaled = only_reader(readers, scale);
  if (found.down < 0 || found.up < 0 || found.scaled < 0 || !graph.constant(b) || !graph.constant(scale) ||
      graph.constant(scale)->count() != 1)
    return std::nullopt;
  found.sum = only_reader(readers, graph.nodes[size_t(found.up)].outputs[0]);
  if (found.sum < 0 || !graph.nodes[size_t(found.sum)].is("Add")) return std::nullopt;
  const Node& sum = graph.nodes[size_t(found.sum)];
  const int base = producers[size_t(sum.inputs[0])];
  if (base < 0) return std::nullopt;
  const auto adaptable = adaptable_layer(graph, base);
  if (!adaptable || adaptable->name != layer) return std::nullopt;
  const bool turned = lies_transposed(graph.nodes[size_t(base)]) && graph.nodes[size_t(base)].is("MatMul");
  const auto values = [&](ValueId id) { return graph.constant(id)->decode().cast(Type::f32).aligned(); };
  found.layer = *adaptable;
  found.values = {layer, turned ? transposed(values(a)) : values(a), turned ? transposed(values(b)) : values(b),
                  graph.constant(scale)->decode().to_floats()[0]};
  return found;
}

}  // namespace

std::optional<AdaptableLayer> adaptable_layer(const Graph& graph, int n) {
  const Node& node = graph.nodes[size_t(n)];
  const bool conv = node.is("Conv") && node.integer("group", 1) == 1;
  if (!conv && !node.is("Gemm") && !node.is("MatMul")) return std::nullopt;
  const Tensor* weight = graph.constant(node.input(1));
  if (weight == nullptr || weight->type != Type::f32 || weight->dims.size() < 2 ||
      (!conv && weight->dims.size() != 2) || node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1)
    return std::nullopt;
  if (!alone(graph, node.inputs[1])) return std::nullopt;
  AdaptableLayer layer{n, node.inputs[1], layer_name(graph.at(node.inputs[1]).name), weight->dims, {}};
  if (lies_transposed(node)) std::swap(layer.a[0], layer.a[1]);
  layer.b.assign(weight->dims.size(), 1);
  layer.b[0] = layer.a[0];
  layer.a[0] = layer.b[1] = 0;
  return layer;
}

std::vector<AdaptableLayer> adaptable_layers(const Graph& graph) {
  std::vector<AdaptableLayer> layers;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (auto layer = adaptable_layer(graph, int(n)); layer && !graph.at(layer->weight).name.ends_with(kA) &&
                                                     !graph.at(layer->weight).name.ends_with(kB) &&
                                                     graph.find(layer->name + std::string(kA)) == kNone)
      layers.push_back(std::move(*layer));
  return layers;
}

void add_adapter(Graph& graph, const AdaptableLayer& layer, const AdapterFactors& values) {
  const int64_t rank = values.a.rank() > 0 ? values.a.dim(0) : 0;
  Dims a = layer.a, b = layer.b;
  a[0] = b[1] = rank;
  if (rank < 1 || values.a.dims() != a || values.b.dims() != b)
    throw Error("adapter of layer '" + layer.name + "'",
                "has " + dims_text(values.a.dims()) + " and " + dims_text(values.b.dims()) + ", the layer takes " +
                    dims_text(a) + " and " + dims_text(b),
                "take the model that the adapter was trained on");
  const Node node = graph.nodes[size_t(layer.node)];
  const bool turned = node.is("MatMul"), conv = node.is("Conv");
  const auto constant = [&](std::string_view ending, const Array& array) {
    return graph.add_constant(layer.name + std::string(ending), Tensor(array));
  };
  std::map<std::string, Attribute> down, up;
  if (conv) {
    down = node.attributes;
    down.erase("group");
  } else if (!turned) {
    down["transB"] = up["transB"] = int64_t(1);
  }
  const std::string type = node.op_type, at = node.name.empty() ? layer.name : node.name;
  ValueId x = branch(graph, type, node.inputs[0], constant(kA, turned ? transposed(values.a) : values.a),
                     at + "_lora_a", std::move(down));
  x = branch(graph, "Mul", x, constant(kScale, Array::scalar(float(values.scale))), at + "_lora_scaled");
  x = branch(graph, type, x, constant(kB, turned ? transposed(values.b) : values.b), at + "_lora_b", std::move(up));
  // The sum takes the place and the name of the layer's result.
  const ValueId y = node.outputs[0], plain = graph.add_value(graph.unique_name(graph.at(y).name + "_base"),
                                                             graph.at(y).type, graph.at(y).shape);
  graph.nodes[size_t(layer.node)].outputs[0] = plain;
  graph.add_node("Add", {plain, x}, {y}).name = graph.unique_name(at + "_lora_sum");
}

std::vector<Adapter> find_adapters(const Graph& graph) {
  std::vector<Adapter> adapters;
  if (!has_adapters(graph)) return adapters;
  const auto readers = graph.consumers();
  const auto producers = graph.producers();
  for (size_t id = 0; id < graph.values.size(); ++id)
    if (graph.values[id].constant && graph.values[id].name.ends_with(kA))
      if (auto found = adapter_of(graph, ValueId(id), readers, producers)) adapters.push_back(std::move(*found));
  return adapters;
}

bool has_adapters(const Graph& graph) {
  return std::any_of(graph.values.begin(), graph.values.end(),
                     [](const Value& value) { return value.constant && value.name.ends_with(kA); });
}

void remove_adapter(Graph& graph, const Adapter& adapter) {
  Node& sum = graph.nodes[size_t(adapter.sum)];
  Node& base = graph.nodes[size_t(adapter.layer.node)];
  std::swap(base.outputs[0], sum.outputs[0]);  // the layer makes the value of its old name again
  sum.inputs[0] = base.outputs[0];
}

Array adapter_weight(const Graph& graph, const AdaptableLayer& layer, const AdapterFactors& v) {
  const int64_t outputs = v.b.dim(0), rank = v.rank(), inputs = v.a.count() / rank;
  Array product(Type::f32, {outputs, inputs});
  const auto a = v.a.values<float>(), b = v.b.values<float>();
  std::vector<double> row(static_cast<size_t>(inputs));
  auto out = product.mutable_values<float>();
  for (int64_t o = 0; o < outputs; ++o) {
    std::fill(row.begin(), row.end(), 0.0);
    for (int64_t r = 0; r < rank; ++r) {
      const double factor = v.scale * b[size_t(o * rank + r)];
      for (int64_t i = 0; i < inputs; ++i) row[size_t(i)] += factor * a[size_t(r * inputs + i)];
    }
    for (int64_t i = 0; i < inputs; ++i) out[size_t(o * inputs + i)] = float(row[size_t(i)]);
  }
  const bool turned = lies_transposed(graph.nodes[size_t(layer.node)]);
  return (turned ? transposed(product) : product).reshaped(graph.constant(layer.weight)->dims);
}

Array weight_rows(const Graph& graph, const AdaptableLayer& layer, const Array& weight) {
  if (lies_transposed(graph.nodes[size_t(layer.node)])) return transposed(weight);
  return weight.reshaped({weight.dim(0), weight.count() / std::max<int64_t>(weight.dim(0), 1)});
}

}  // namespace pare
