#include <cmath>
#include <set>

#include "graph/fuse.h"
#include "graph/op.h"
#include "graph/simplify.h"

namespace pare {
namespace {

struct Known {
  const char* op;
  std::map<std::string, Attribute> attributes;
  double (*function)(double);
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

const std::vector<Known>& known_activations() {
  static const std::vector<Known> all = {
      {"Swish", {{"alpha", 1.f}}, [](double x) { return x * sigmoid(x); }},
      {"Swish", {{"alpha", 1.702f}}, [](double x) { return x * sigmoid(1.702 * x); }},
      {"Gelu", {}, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }},
      {"Gelu", {{"approximate", std::string("tanh")}}, [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }},
      {"HardSwish", {}, [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); }},
      {"HardSigmoid", {{"alpha", 1.f / 6}, {"beta", 0.5f}}, [](double x) { return std::clamp(x / 6 + 0.5, 0.0, 1.0); }},
      {"Mish", {}, [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }},
  };
  return all;
}

constexpr size_t kMostNodes = 12;
constexpr int kPoints = 121;

// Nodes that act on each element by itself, given that their other inputs are single numbers.
bool elementwise(const Node& node) {
  static const std::set<std::string> names{"Add", "Sub", "Mul", "Div", "Pow", "Sigmoid", "HardSigmoid", "Tanh", "Erf", "Exp", "Log", "Neg", "Reciprocal", "Sqrt", "Softplus", "Relu", "Clip", "Max", "Min"};
  return node.domain.empty() && names.count(node.op_type) != 0 && node.outputs.size() == 1 && node.op != nullptr && node.op->forward != nullptr;
}

// A set of nodes, grown backwards from its last one, and the values it reads.
struct Region {
  std::vector<int> nodes;
  std::set<ValueId> reads;
};

bool take(const Graph& graph, int n, Region& region) {
  const Node& node = graph.nodes[size_t(n)];
  if (!elementwise(node)) return false;
  for (ValueId id : node.inputs)
    if (id != kNone && graph.constant(id) != nullptr && !scalar_of(graph, id)) return false;
  region.nodes.push_back(n);
  for (ValueId id : node.inputs)
    if (id != kNone && graph.constant(id) == nullptr) region.reads.insert(id);
  region.reads.erase(node.outputs[0]);
  return true;
}

// What the region makes of `points`, its only input.
std::vector<float> evaluate(const Graph& graph, Region region, const Array& points) {
  std::map<ValueId, Array> values{{*region.reads.begin(), points}};
  std::sort(region.nodes.begin(), region.nodes.end());
  for (int n : region.nodes) {
    const Node& node = graph.nodes[size_t(n)];
    Forward forward{node, graph.opset(), {}, std::vector<Array>(1)};
    for (ValueId id : node.inputs) forward.inputs.push_back(id == kNone ? Array() : graph.constant(id) ? graph.constant(id)->decode() : values.at(id));
    node.op->forward(forward);
    values[node.outputs[0]] = forward.outputs[0];
  }
  return values.at(graph.nodes[size_t(region.nodes.back())].outputs[0]).to_floats();
}

const Known* recognize(const Graph& graph, const Region& region) {
  Array points(Type::f32, {kPoints});
  auto x = points.mutable_values<float>();
  for (int i = 0; i < kPoints; ++i) x[size_t(i)] = float(i - kPoints / 2) * 0.17f;
  const std::vector<float> y = evaluate(graph, region, points);
  if (y.size() != size_t(kPoints)) return nullptr;
  for (const Known& known : known_activations()) {
    bool same = true;
    // The chain was computed in float: 1e-5 tells the two forms of Gelu apart (4e-4) and forgives rounding.
    for (size_t i = 0; i < y.size() && same; ++i) same = std::abs(y[i] - known.function(x[i])) <= 1e-5 * (1 + std::abs(double(x[i])));
    if (same) return &known;
  }
  return nullptr;
}

// Grows a region that ends in `root` until it computes something known. The latest producer is taken first, so that the
// region closes over the first value all paths meet in.
const Known* grow(const Graph& graph, const Uses& uses, int root, Region& region) {
  if (!take(graph, root, region)) return nullptr;
  while (region.nodes.size() <= kMostNodes) {
    if (region.reads.size() == 1 && region.nodes.size() > 1)
      if (const Known* known = recognize(graph, region)) return known;
    int latest = -1;
    for (ValueId id : region.reads)
      if (uses.inside(id, region.nodes)) latest = std::max(latest, uses.producer_index(id));
    if (latest < 0 || !take(graph, latest, region)) return nullptr;
  }
  return nullptr;
}

}  // namespace

int fuse_activations(Graph& graph) {
  const Uses uses(graph);
  std::vector<char> dead(graph.nodes.size(), 0);
  int fused = 0;
  for (int n = int(graph.nodes.size()) - 1; n >= 0; --n) {
    const Node& root = graph.nodes[size_t(n)];
    if (dead[size_t(n)] || !(root.is("Mul") || root.is("Div")) || graph.at(root.outputs[0]).type != Type::f32) continue;
    Region region;
    const Known* known = grow(graph, uses, n, region);
    if (known == nullptr || std::any_of(region.nodes.begin(), region.nodes.end(), [&](int k) { return dead[size_t(k)] != 0; })) continue;
    for (int k : region.nodes) dead[size_t(k)] = k != n;
    Node& node = graph.nodes[size_t(n)];
    node.op_type = known->op;
    node.op = find_op(known->op, "");
    node.attributes = known->attributes;
    node.inputs = {*region.reads.begin()};
    ++fused;
  }
  graph.remove_nodes(dead);
  if (fused > 0) graph.remove_unused();
  return fused;
}

}  // namespace pare
