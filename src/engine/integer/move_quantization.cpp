// QuantizeLinear and DequantizeLinear commute with whatever only moves values, bit by bit. Moved so that bytes are moved
// instead of floats, they meet the layers that take them up, wherever the file has put them:
//   move(dequantize(x))  becomes  dequantize(move(x))     where all that is moved has one scale
//   quantize(move(x))    becomes  move(quantize(x))       where nobody else reads what is moved
// but behind attention, which writes its result transposed at no cost:
//   reshape(transpose(quantize(attention)))  becomes  quantize(reshape(transpose(attention)))
// A maximum is a choice of values, so it commutes with a growing function too: quantize(maximum(x)) becomes
// quantize(maximum(dequantize(quantize(x)))), the form that integer pools read.
#include <algorithm>

#include "engine/integer/integer.h"

namespace pare {
namespace {

struct Parameters {
  float scale = 1;
  int64_t zero = 0;
  Type type = Type::none;
  bool operator==(const Parameters&) const = default;
};

// Of a QuantizeLinear or DequantizeLinear with one constant scale for everything and 8-bit integers.
std::optional<Parameters> parameters_of(const Graph& graph, const Node& node) {
  const Tensor *scale = graph.constant(node.input(1)), *zero = graph.constant(node.input(2));
  if (scale == nullptr || scale->type != Type::f32 || scale->count() != 1 || (node.input(2) != kNone && (zero == nullptr || zero->count() != 1))) return std::nullopt;
  const Type type = zero != nullptr ? zero->type : Type::u8;
  const ValueId integer = node.is("QuantizeLinear") ? node.outputs[0] : node.inputs[0];
  if (!is_eight_bit(type) || graph.at(integer).type != type) return std::nullopt;
  return Parameters{scale->decode().to_floats()[0], zero != nullptr ? zero->decode().to_integers()[0] : 0, type};
}

// How many inputs, from the first, are moved; 0: the node does something else.
size_t moved_inputs(const Node& node) {
  if (node.is("Concat")) return node.inputs.size();
  for (const char* op : {"Slice", "Split", "Transpose", "DepthToSpace", "SpaceToDepth", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile", "Gather"})
    if (node.is(op)) return 1;
  return node.is("Resize") && node.text("mode", "nearest") == "nearest" && node.text("coordinate_transformation_mode") != "tf_crop_and_resize" ? 1 : 0;
}

// Subgraphs read values of the graph around them by name, which consumers() does not show.
bool has_subgraphs(const Graph& graph) {
  for (const Node& node : graph.nodes)
    for (const auto& [name, attribute] : node.attributes)
      if (std::holds_alternative<std::shared_ptr<Graph>>(attribute) || std::holds_alternative<std::vector<std::shared_ptr<Graph>>>(attribute)) return true;
  return false;
}

class Mover {
 public:
  explicit Mover(Graph& graph) : graph_(graph), producer_(graph.producers()), consumers_(graph.consumers()) {
    kept_.insert(graph.outputs.begin(), graph.outputs.end());
  }

  // Two quantizations of one value that say the same become one.
  int share_quantizations() {
    std::map<ValueId, std::vector<std::pair<Parameters, ValueId>>> seen;
    int changed = 0;
    for (const Node& node : graph_.nodes) {
      const auto p = node.is("QuantizeLinear") ? parameters_of(graph_, node) : std::nullopt;
      if (!p || kept_.count(node.outputs[0])) continue;
      auto& known = seen[node.inputs[0]];
      const auto same = std::find_if(known.begin(), known.end(), [&](const auto& entry) { return entry.first == *p; });
      if (same == known.end()) known.emplace_back(*p, node.outputs[0]);
      else if (!consumers_[size_t(node.outputs[0])].empty()) graph_.replace_uses(node.outputs[0], same->second), ++changed;
    }
    return changed;
  }

  int sink_dequantizations() {
    int changed = 0;
    for (size_t n = 0, count = graph_.nodes.size(); n < count; ++n) changed += sink_into(n);
    return changed;
  }

  int raise_quantizations() {
    std::vector<char> dead(graph_.nodes.size(), 0);
    int changed = 0;
    for (size_t n = 0; n < dead.size(); ++n)
      if (raise(n)) dead[n] = !producer_is(n, "MaxPool"), ++changed;
    graph_.remove_nodes(dead);
    return changed;
  }

  int sink_below_attention() {
    for (Node& move : graph_.nodes) {
      const ValueId q = move.inputs.empty() ? kNone : move.inputs[0];
      const Node* above = q == kNone ? nullptr : producer(q);
      if (above == nullptr || !above->is("QuantizeLinear") || !parameters_of(graph_, *above) || consumers_[size_t(q)].size() != 1 || kept_.count(q)) continue;
      Node& quantize = graph_.nodes[size_t(producer_[size_t(q)])];
      const ValueId x = quantize.inputs[0], y = move.outputs[0];
      if (!moved_attention(move, x)) continue;
      move.inputs[0] = x;
      move.outputs[0] = quantize.inputs[0] = graph_.add_value(graph_.unique_name(graph_.at(y).name + "_d"), Type::f32, graph_.at(y).shape);
      quantize.outputs[0] = y;
      return 1;  // the indices are of the graph before
    }
    return 0;
  }

 private:
  const Node* producer(ValueId id) const { return id == kNone || size_t(id) >= producer_.size() || producer_[size_t(id)] < 0 ? nullptr : &graph_.nodes[size_t(producer_[size_t(id)])]; }
  bool producer_is(size_t n, const char* op) const {
    const Node* by = producer(graph_.nodes[n].inputs[0]);
    return by != nullptr && by->is(op);
  }
  std::optional<Parameters> dequantization(ValueId id) const {
    const Node* by = producer(id);
    return by != nullptr && by->is("DequantizeLinear") ? parameters_of(graph_, *by) : std::nullopt;
  }

  // Attention writes what one Transpose of its rows and Reshapes behind that make of its result; `x`: in front of `move`.
  bool moved_attention(const Node& move, ValueId x) const {
    const auto transposes_rows = [](const Node& node) {
      const std::vector<int64_t> perm = node.integers("perm");
      return node.is("Transpose") && perm.size() == 4 && perm[3] == 3;
    };
    bool transposed = transposes_rows(move);
    if (!transposed && !move.is("Reshape")) return false;
    for (const Node* by = producer(x); by != nullptr && consumers_[size_t(x)].size() == 1 && !kept_.count(x); by = producer(x)) {
      if (by->is("Attention")) return by->outputs.size() == 1 && graph_.at(x).type == Type::f32;
      if (transposed || !(by->is("Reshape") || transposes_rows(*by))) return false;
      transposed = !by->is("Reshape");
      x = by->inputs[0];
    }
    return false;
  }

  // op(x) with the scale and zero point of `like`; `y`: the value it makes, or a new one.
  ValueId add(const std::string& op, ValueId x, const Node& like, Type type, ValueId y = kNone) {
    if (y == kNone) y = graph_.add_value(graph_.unique_name(graph_.at(x).name + (type == Type::f32 ? "_d" : "_q")), type, graph_.at(x).shape);
    std::vector<ValueId> inputs = like.inputs;
    inputs[0] = x;
    Node& added = graph_.add_node(op, std::move(inputs), {y});
    added.name = graph_.at(y).name;
    added.attributes = like.attributes;
    return y;
  }

  bool sink_into(size_t n) {
    const Node move = graph_.nodes[n];  // copies: adding nodes moves them
    const size_t moved = moved_inputs(move);
    const auto first = moved > 0 ? dequantization(move.inputs[0]) : std::nullopt;
    for (size_t i = 0; i < moved; ++i)
      if (!first || dequantization(move.inputs[i]) != first) return false;
    if (!first) return false;
    const Node like = *producer(move.inputs[0]);
    for (size_t i = 0; i < moved; ++i) graph_.nodes[n].inputs[i] = producer(move.inputs[i])->inputs[0];
    for (size_t i = 0; i < move.outputs.size(); ++i) {
      const ValueId y = move.outputs[i];
      if (y == kNone) continue;
      const ValueId stored = graph_.add_value(graph_.unique_name(graph_.at(y).name + "_q"), first->type, graph_.at(y).shape);
      graph_.nodes[n].outputs[i] = stored;
      add("DequantizeLinear", stored, like, Type::f32, y);
    }
    return true;
  }

  bool raise(size_t n) {
    const Node quantize = graph_.nodes[n];
    if (!quantize.is("QuantizeLinear") || !parameters_of(graph_, quantize)) return false;
    const Node* by = producer(quantize.inputs[0]);
    if (by == nullptr || kept_.count(quantize.inputs[0]) || consumers_[size_t(quantize.inputs[0])].size() != 1 || by->outputs.size() != 1) return false;
    const size_t at = size_t(producer_[size_t(quantize.inputs[0])]);
    const bool maximum = by->is("MaxPool");
    const size_t moved = maximum ? 1 : moved_inputs(*by);
    if (moved == 0 || (maximum && dequantization(by->inputs[0]))) return false;
    const Type type = graph_.at(quantize.outputs[0]).type;
    for (size_t i = 0; i < moved; ++i) {
      ValueId x = add("QuantizeLinear", graph_.nodes[at].inputs[i], quantize, type);
      if (maximum) x = add("DequantizeLinear", x, quantize, Type::f32);
      graph_.nodes[at].inputs[i] = x;
    }
    if (!maximum) graph_.nodes[at].outputs[0] = quantize.outputs[0];
    return true;
  }

  Graph& graph_;
  std::vector<int> producer_;
  std::vector<std::vector<int>> consumers_;
  std::set<ValueId> kept_;
};

}  // namespace

namespace {

int apply(Graph& graph, int (Mover::*rule)()) {
  const int changed = (Mover(graph).*rule)();
  if (changed > 0) {
    graph.sort();
    graph.remove_unused();
  }
  return changed;
}

}  // namespace

int quantize_behind_attention(Graph& graph) {
  if (has_subgraphs(graph)) return 0;
  int all = 0;
  while (apply(graph, &Mover::sink_below_attention) > 0) ++all;
  return all;
}

int move_quantization(Graph& graph) {
  if (has_subgraphs(graph)) return 0;
  int all = 0;
  // Each rule moves quantization one way only, so this ends; the bound is for graphs made to take long.
  for (int round = 0; round < 256; ++round) {
    const int changed = apply(graph, &Mover::share_quantizations) + apply(graph, &Mover::sink_dequantizations) + apply(graph, &Mover::raise_quantizations);
    if (changed == 0) break;
    all += changed;
  }
  return all;
}

}  // namespace pare
