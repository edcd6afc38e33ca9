// Linear layers as two with few values in between.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/float_products/float_products.h"
#include "passes/layer_stages.h"
#include "passes/solvers/low_rank.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct FactorizeLinear {
  double share = 0.8;
  double damping = 0.01;
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<FactorizeLinear>()
        .number("share", &FactorizeLinear::share, 0.01, 1, "", "weights that the two layers hold, as a share of what the one held", {"0.6", "0.8"})
        .number("damping", &FactorizeLinear::damping, 1e-6, 1, "", "added to the diagonal of the inputs' second moments, as a share of its mean")
        .word("exclude", &FactorizeLinear::exclude, {}, "layers that stay whole: names or operators, * for anything, | between them")
        .take();
  }
};

struct Order {
  const PrunableLayer* layer;
  int64_t rank;
  LowRank factors;
};

// So many values in between that both layers together hold the share asked for.
int64_t rank_for(const MatrixShape& shape, double share) { return std::max<int64_t>(1, int64_t(share * double(shape.count()) / double(shape.rows + shape.cols))); }

std::string reason_to_stay(const Graph& graph, const PrunableLayer& layer, const FactorizeLinear& options) {
  for (int n : layer.nodes) {
    const Node& node = graph.nodes[size_t(n)];
    if (name_matches(options.exclude, node)) return "excluded by the recipe";
    if (layer.left || node.integer("transA", 0) != 0) return "its input lies with its columns first";
  }
  if (!layer.spared.empty()) return layer.spared;
  return rank_for(layer.shape, options.share) >= std::min(layer.shape.rows, layer.shape.cols) ? "two layers of this share would be no narrower" : "";
}

// As the weight's layer stores matrices: outputs first, or inputs first.
Array stored(const PrunableLayer& layer, const std::vector<float>& matrix, int64_t rows, int64_t columns) {
  if (!layer.transposed) return Array::of<float>({rows, columns}, matrix);
  std::vector<float> turned(matrix.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) turned[size_t(c * rows + r)] = matrix[size_t(r * columns + c)];
  return Array::of<float>({columns, rows}, turned);
}

std::vector<float> product(const LowRank& factors, int64_t rows, int64_t n) {
  std::vector<float> whole(size_t(rows * n), 0.f);
  add_product(Product<float>{{factors.left.data(), factors.rank, 1}, {factors.right.data(), n, 1}, whole.data(), n, rows, n, factors.rank});
  return whole;
}

void split_layer(Graph& graph, const Order& order) {
  const PrunableLayer& layer = *order.layer;
  const std::string name = graph.at(layer.value).name;
  const ValueId first = graph.add_constant(name + "_right", Tensor(stored(layer, order.factors.right, order.rank, layer.shape.cols)));
  const ValueId second = graph.add_constant(name + "_left", Tensor(stored(layer, order.factors.left, layer.shape.rows, order.rank)));
  for (int n : layer.nodes) {
    const std::string op = graph.nodes[size_t(n)].op_type, between = graph.at(graph.nodes[size_t(n)].outputs[0]).name + "_low";
    const ValueId low = graph.add_value(graph.unique_name(between), Type::f32), input = graph.nodes[size_t(n)].inputs[0];
    Node& added = graph.add_node(op, {input, first}, {low});
    added.name = between;
    if (op == "Gemm") added.attributes["transB"] = int64_t(layer.transposed ? 0 : 1);
    graph.nodes[size_t(n)].inputs[0] = low;
    graph.nodes[size_t(n)].inputs[1] = second;
  }
}

void run(Graph& graph, const FactorizeLinear& options, PassRun& pass) {
  const std::vector<PrunableLayer> layers = prunable_layers(graph);
  std::vector<Order> orders;
  std::map<std::string, std::vector<std::string>> stay;
  for (const PrunableLayer& layer : layers) {
    if (layer.convolution) continue;
    if (const std::string reason = reason_to_stay(graph, layer, options); !reason.empty()) stay[reason].push_back(layer.name);
    else orders.push_back({&layer, rank_for(layer.shape, options.share), {}});
  }
  const auto solve = [&](Order& order, std::vector<double> h) {
    const MatrixShape& shape = order.layer->shape;
    order.factors = factorize(weight_matrix(graph, *order.layer), shape.rows, shape.cols, std::move(h), options.damping, order.rank);
    // Whoever is measured behind it sees what the two layers will compute.
    replace_constant(graph, order.layer->value, Tensor(stored(*order.layer, product(order.factors, shape.rows, shape.cols), shape.rows, shape.cols)));
  };
  if (pass.samples.count == 0) {
    for (Order& order : orders) solve(order, {});
  } else {
    std::vector<const PrunableLayer*> changed;
    for (const Order& order : orders) changed.push_back(order.layer);
    change_in_stages(graph, changed, {.who = "factorize-linear", .way_out = "exclude this layer (exclude=), or take the pass without --data"}, pass, [&](size_t l, const LayerColumns& columns) { solve(orders[l], columns.moments(0)); });
  }
  for (const Order& order : orders) split_layer(graph, order);
  graph.sort();
  pass.changed = int(orders.size());
  for (const auto& [reason, names] : stay) pass.notes.push_back(fmt::format("stays whole: {} ({})", fmt::join(names, ", "), reason));
  const auto worst = std::max_element(orders.begin(), orders.end(), [](const Order& a, const Order& b) { return a.factors.relative_error < b.factors.relative_error; });
  if (worst != orders.end())
    pass.notes.push_back(fmt::format("{} is hurt most, with {} values in between: its output stands {:.1f} dB above its error", worst->layer->name, worst->rank, -10 * std::log10(std::max(worst->factors.relative_error, 1e-30))));
}

}  // namespace

Pass pass_factorize_linear() {
  Pass pass = declare_pass<FactorizeLinear>("factorize-linear", "Splits linear layers in two with few values in between: the ones that change the layer's outputs on the data least, or without data the weights.",
                                            "Wang et al. 2024, SVD-LLM, section 3.1 (whitening)", false, run);
  pass.data = "yes, if there is a calibration split: weights that matter to its outputs; else the plain decomposition";
  return pass;
}

}  // namespace pare
