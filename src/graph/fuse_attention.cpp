#include "graph/fuse.h"
#include "graph/op.h"
#include "graph/simplify.h"

namespace pare {
namespace {

struct Match {
  ValueId query = kNone, key_transposed = kNone, value = kNone, mask = kNone;
  float scale = 1;
  std::vector<int> inner;
};

bool last_axis_softmax(const Graph& graph, const Node& node) {
  const auto dims = dims_of(graph, node.inputs[0]);
  const int64_t axis = node.integer("axis", -1);
  return node.is("Softmax") && dims && dims->size() == 4 && (axis == -1 || axis == 3);
}

// Walks back from the Softmax: Add of a mask and multiplication by a number, each at most once, then the product.
bool scores(const Graph& graph, const Uses& uses, ValueId id, Match& match) {
  bool scaled = false;
  for (;;) {
    const Node* node = uses.producer(id);
    if (node == nullptr || uses.only_consumer(id) < 0) return false;
    const int index = uses.producer_index(id);
    match.inner.push_back(index);
    if (node->is("MatMul")) {
      match.query = node->inputs[0];
      match.key_transposed = node->inputs[1];
      return true;
    }
    if (node->is("Add") && match.mask == kNone && !scaled) {
      // The side that leads to a product of the same shape is the scores.
      const auto whole = dims_of(graph, id);
      size_t side = 2;
      for (size_t i = 0; i < 2 && side == 2; ++i) {
        const Node* from = uses.producer(node->inputs[i]);
        if (from != nullptr && dims_of(graph, node->inputs[i]) == whole && (from->is("MatMul") || from->is("Mul") || from->is("Div"))) side = i;
      }
      if (side == 2) return false;
      match.mask = node->inputs[1 - side];
      id = node->inputs[side];
    } else if ((node->is("Mul") || node->is("Div")) && !scaled) {
      scaled = true;
      const bool first = node->is("Mul") && scalar_of(graph, node->inputs[0]).has_value();
      const auto number = scalar_of(graph, node->inputs[first ? 0 : 1]);
      if (!number) return false;
      match.scale = node->is("Mul") ? *number : 1 / *number;
      id = node->inputs[first ? 1 : 0];
    } else {
      return false;
    }
  }
}

std::optional<Match> match_at(const Graph& graph, const Uses& uses, int n) {
  const Node& product = graph.nodes[size_t(n)];
  if (!product.is("MatMul")) return std::nullopt;
  const Node* softmax = uses.producer(product.inputs[0]);
  if (softmax == nullptr || !last_axis_softmax(graph, *softmax) || uses.only_consumer(product.inputs[0]) < 0) return std::nullopt;
  Match match;
  match.value = product.inputs[1];
  match.inner.push_back(uses.producer_index(product.inputs[0]));
  if (!scores(graph, uses, softmax->inputs[0], match)) return std::nullopt;
  const auto q = dims_of(graph, match.query), k = dims_of(graph, match.key_transposed), v = dims_of(graph, match.value);
  const bool fit = q && k && v && q->size() == 4 && k->size() == 4 && v->size() == 4 && (*q)[0] == (*k)[0] && (*q)[1] == (*k)[1] && (*v)[0] == (*k)[0] && (*v)[1] == (*k)[1];
  // Attention fills a mask that is shorter than the keys up with −∞; an Add repeats it.
  const auto mask = dims_of(graph, match.mask);
  if (match.mask != kNone && (!mask || !k || mask->empty() || mask->back() != k->back())) return std::nullopt;
  if (!fit || graph.constant(match.key_transposed) != nullptr || graph.at(match.query).type != Type::f32) return std::nullopt;
  return match;
}

// K with its last two axes in order [.., tokens, width]: the Transpose in front of it turned around, or one more.
ValueId untransposed_key(Graph& graph, const Uses& uses, ValueId id) {
  const Dims dims = *dims_of(graph, id);
  const Node* before = uses.producer(id);
  std::vector<int64_t> perm{0, 1, 3, 2};
  ValueId source = id;
  if (before != nullptr && before->is("Transpose") && before->integers("perm").size() == 4) {
    perm = before->integers("perm");
    std::swap(perm[2], perm[3]);
    source = before->inputs[0];
  }
  if (perm == std::vector<int64_t>{0, 1, 2, 3}) return source;
  const ValueId key = graph.add_value(graph.unique_name(graph.at(id).name + "_rows"), Type::f32, shape_of({dims[0], dims[1], dims[3], dims[2]}));
  Node& turn = graph.add_node("Transpose", {source}, {key});
  turn.name = graph.at(key).name;
  turn.attributes["perm"] = perm;
  return key;
}

}  // namespace

int fuse_attention(Graph& graph) {
  const Uses uses(graph);
  const size_t count = graph.nodes.size();
  std::vector<std::pair<int, Match>> found;
  for (int n = 0; n < int(count); ++n)
    if (auto match = match_at(graph, uses, n)) found.emplace_back(n, *match);
  std::vector<ValueId> keys;
  // Uses points into the nodes: all are read before the first is added.
  graph.nodes.reserve(count + found.size());
  for (const auto& [n, match] : found) keys.push_back(untransposed_key(graph, uses, match.key_transposed));
  std::vector<char> dead(graph.nodes.size(), 0);
  for (size_t i = 0; i < found.size(); ++i) {
    const auto& [n, match] = found[i];
    for (int k : match.inner) dead[size_t(k)] = 1;
    Node& node = graph.nodes[size_t(n)];
    node.op_type = "Attention";
    node.op = find_op("Attention", "");
    node.attributes = {{"scale", match.scale}};
    node.inputs = {match.query, keys[i], match.value};
    if (match.mask != kNone) node.inputs.push_back(match.mask);
  }
  graph.remove_nodes(dead);
  if (!found.empty()) {
    graph.sort();
    graph.remove_unused();
  }
  return int(found.size());
}

}  // namespace pare
