#include "graph/fuse.h"
#include "graph/op.h"
#include "graph/simplify.h"

namespace pare {
namespace {

// A ReduceMean over the last axis that keeps it.
bool last_mean(const Graph& graph, const Node* node) {
  if (node == nullptr || !node->is("ReduceMean") || node->integer("keepdims", 1) != 1) return false;
  const auto dims = dims_of(graph, node->inputs[0]);
  std::vector<int64_t> axes = node->integers("axes");
  if (const Tensor* given = graph.constant(node->input(1))) axes = given->decode().to_integers();
  return dims && axes.size() == 1 && (axes[0] == -1 || axes[0] == int64_t(dims->size()) - 1);
}

// A node of two inputs, one of them a single number.
bool with_scalar(const Graph& graph, const Node* node, const char* op, ValueId& other, float& number) {
  if (node == nullptr || !node->is(op)) return false;
  for (size_t i = 0; i < 2; ++i)
    if (const auto value = scalar_of(graph, node->inputs[i])) {
      number = *value;
      other = node->inputs[1 - i];
      return true;
    }
  return false;
}

bool square_of(const Graph& graph, const Node* node, ValueId x) {
  if (node == nullptr) return false;
  if (node->is("Mul")) return node->inputs[0] == x && node->inputs[1] == x;
  const auto power = node->is("Pow") ? scalar_of(graph, node->inputs[1]) : std::nullopt;
  return power && *power == 2 && node->inputs[0] == x;
}

struct Norm {
  ValueId x = kNone;
  bool centred = false;
  float epsilon = 0;
  std::vector<int> inner;
  ValueId gamma = kNone, beta = kNone;
};

// Numerator over root mean square: Div(d, Sqrt(…)), Mul(d, Reciprocal(Sqrt(…))).
std::optional<Norm> match(const Graph& graph, const Uses& uses, int n) {
  const Node& root = graph.nodes[size_t(n)];
  Norm norm;
  const auto node_of = [&](ValueId id) {
    const Node* node = uses.producer(id);
    if (node != nullptr) norm.inner.push_back(uses.producer_index(id));
    return node;
  };
  for (size_t side = 0; side < 2; ++side) {
    norm.inner.clear();
    const Node* divisor = nullptr;
    if (root.is("Div") && side == 1) divisor = node_of(root.inputs[1]);
    if (root.is("Mul")) {
      const Node* reciprocal = node_of(root.inputs[side]);
      if (reciprocal != nullptr && reciprocal->is("Reciprocal")) divisor = node_of(reciprocal->inputs[0]);
    }
    if (divisor == nullptr || !divisor->is("Sqrt")) continue;
    const ValueId d = root.inputs[1 - side];
    ValueId mean = kNone;
    if (!with_scalar(graph, node_of(divisor->inputs[0]), "Add", mean, norm.epsilon)) continue;
    const Node* variance = node_of(mean);
    if (!last_mean(graph, variance)) continue;
    if (!square_of(graph, node_of(variance->inputs[0]), d)) continue;
    norm.x = d;
    const Node* centre = uses.producer(d);
    if (centre != nullptr && centre->is("Sub")) {
      const Node* average = uses.producer(centre->inputs[1]);
      if (last_mean(graph, average) && average->inputs[0] == centre->inputs[0]) {
        norm.inner.push_back(uses.producer_index(d));
        norm.inner.push_back(uses.producer_index(centre->inputs[1]));
        norm.x = centre->inputs[0];
        norm.centred = true;
      }
    }
    return norm;
  }
  return std::nullopt;
}

// γ or β behind the normalization: a constant row as long as the last axis.
bool take_row(Graph& graph, const Uses& uses, const char* op, int64_t length, int& last, ValueId& row, Norm& norm) {
  const int next = uses.only_consumer(graph.nodes[size_t(last)].outputs[0]);
  if (next < 0 || !graph.nodes[size_t(next)].is(op)) return false;
  const Node& node = graph.nodes[size_t(next)];
  for (ValueId id : node.inputs) {
    const Tensor* tensor = graph.constant(id);
    if (tensor == nullptr || !tensor->plain() || tensor->type != Type::f32 || tensor->count() != length || tensor->dims.empty() || tensor->dims.back() != length) continue;
    row = tensor->dims.size() == 1 ? id : graph.add_constant(graph.at(id).name, Tensor(tensor->array().reshaped({length})));
    norm.inner.push_back(last);
    last = next;
    return true;
  }
  return false;
}

}  // namespace

int fuse_norms(Graph& graph) {
  const Uses uses(graph);
  std::vector<char> dead(graph.nodes.size(), 0);
  int fused = 0;
  for (int n = 0; n < int(dead.size()); ++n) {
    auto norm = match(graph, uses, n);
    const auto dims = norm ? dims_of(graph, norm->x) : std::nullopt;
    if (!dims || graph.at(norm->x).type != Type::f32) continue;
    const int64_t length = dims->back();
    int last = n;
    std::vector<int> all = norm->inner;
    all.push_back(n);
    if (!std::all_of(norm->inner.begin(), norm->inner.end(), [&](int k) { return !dead[size_t(k)] && uses.inside(graph.nodes[size_t(k)].outputs[0], all); })) continue;
    if (!take_row(graph, uses, "Mul", length, last, norm->gamma, *norm)) {
      Array ones(Type::f32, {length});
      for (float& one : ones.mutable_values<float>()) one = 1;
      norm->gamma = graph.add_constant(graph.at(norm->x).name + "_gamma", Tensor(ones));
    }
    if (norm->centred) take_row(graph, uses, "Add", length, last, norm->beta, *norm);
    for (int k : norm->inner) dead[size_t(k)] = 1;
    Node& node = graph.nodes[size_t(last)];
    node.op_type = norm->centred ? "LayerNormalization" : "RMSNormalization";
    node.op = find_op(node.op_type, "");
    node.attributes = {{"axis", int64_t(-1)}, {"epsilon", norm->epsilon}};
    node.inputs = {norm->x, norm->gamma};
    if (norm->beta != kNone) node.inputs.push_back(norm->beta);
    ++fused;
  }
  graph.remove_nodes(dead);
  if (fused > 0) {
    graph.sort();
    graph.remove_unused();
  }
  return fused;
}

}  // namespace pare
