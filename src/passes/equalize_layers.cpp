// Cross-layer equalization: where conv → (ReLU) → conv, scaling channel i of the first by 1/s_i and of the second by s_i
// changes nothing but evens out the channels' ranges: s_i = √(r1_i·r2_i) / r2_i.
#include <algorithm>
#include <cmath>

#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct EqualizeLayers {
  double rounds = 4;
  static std::vector<Field> fields() {
    return FieldList<EqualizeLayers>().number("rounds", &EqualizeLayers::rounds, 1, 100, "", "passes over all pairs; ranges settle after a few", {"1", "4"}).take();
  }
};

struct Pair {
  size_t first, second;
};

bool plain_weight(const Graph& graph, const Node& node, const std::vector<std::vector<int>>& consumers) {
  const Tensor* weight = graph.constant(node.input(1));
  return node.is("Conv") && weight != nullptr && weight->plain() && weight->type == Type::f32 && consumers[size_t(node.inputs[1])].size() == 1 &&
         (node.input(2) == kNone || (graph.constant(node.inputs[2]) != nullptr && graph.constant(node.inputs[2])->plain() && consumers[size_t(node.inputs[2])].size() == 1));
}

std::vector<Pair> find_pairs(const Graph& graph) {
  const auto consumers = graph.consumers();
  std::vector<Pair> pairs;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!plain_weight(graph, graph.nodes[n], consumers)) continue;
    ValueId at = graph.nodes[n].outputs[0];
    auto only = [&](ValueId id) { return consumers[size_t(id)].size() == 1 && !graph.is_output(id) ? consumers[size_t(id)][0] : -1; };
    int next = only(at);
    // ReLU and PReLU commute with positive scales; a Clip at 6 does not.
    if (next >= 0 && (graph.nodes[size_t(next)].is("Relu") || graph.nodes[size_t(next)].is("LeakyRelu"))) next = only(graph.nodes[size_t(next)].outputs[0]);
    if (next < 0 || !plain_weight(graph, graph.nodes[size_t(next)], consumers)) continue;
    const Node& second = graph.nodes[size_t(next)];
    const int64_t groups = second.integer("group", 1), channels = graph.constant(graph.nodes[n].inputs[1])->dims[0];
    const bool depthwise = groups == channels && graph.constant(second.inputs[1])->dims[1] == 1 && graph.constant(second.inputs[1])->dims[0] == channels;
    if (groups == 1 || depthwise) pairs.push_back({n, size_t(next)});
  }
  return pairs;
}

// max|w| per entry of `axis`.
std::vector<float> ranges(const Array& weight, int axis) {
  int64_t inner = 1;
  for (int i = axis + 1; i < weight.rank(); ++i) inner *= weight.dim(i);
  std::vector<float> range(size_t(weight.dim(axis)), 0.f);
  const auto w = weight.values<float>();
  for (size_t i = 0; i < w.size(); ++i) {
    float& r = range[i / size_t(inner) % range.size()];
    r = std::max(r, std::abs(w[i]));
  }
  return range;
}

Array multiplied(const Array& array, int axis, const std::vector<float>& factor) {
  int64_t inner = 1;
  for (int i = axis + 1; i < array.rank(); ++i) inner *= array.dim(i);
  Array result = array;
  auto values = result.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factor[i / size_t(inner) % factor.size()];
  return result;
}

void equalize(Graph& graph, const Pair& pair) {
  const Node &first = graph.nodes[pair.first], &second = graph.nodes[pair.second];
  const Array w1 = graph.constant(first.inputs[1])->array(), w2 = graph.constant(second.inputs[1])->array();
  const int axis = second.integer("group", 1) == 1 ? 1 : 0;  // depthwise: its own output channel
  const std::vector<float> r1 = ranges(w1, 0), r2 = ranges(w2, axis);
  std::vector<float> up(r1.size(), 1.f), down(r1.size(), 1.f);
  for (size_t c = 0; c < r1.size(); ++c) {
    if (!(r1[c] > 0 && r2[c] > 0)) continue;
    // Bounded, so that a nearly dead channel does not blow up another layer's weights; a power of two keeps products exact.
    up[c] = std::exp2(std::nearbyint(std::log2(std::clamp(std::sqrt(r1[c] * r2[c]) / r2[c], 1e-3f, 1e3f))));
    down[c] = 1 / up[c];
  }
  replace_constant(graph, first.inputs[1], Tensor(multiplied(w1, 0, down)));
  if (first.input(2) != kNone) replace_constant(graph, first.inputs[2], Tensor(multiplied(graph.constant(first.inputs[2])->array(), 0, down)));
  replace_constant(graph, second.inputs[1], Tensor(multiplied(w2, axis, up)));
}

void run(Graph& graph, const EqualizeLayers& options, PassRun& pass) {
  const std::vector<Pair> pairs = find_pairs(graph);
  for (int round = 0; round < int(options.rounds); ++round)
    for (const Pair& pair : pairs) equalize(graph, pair);
  for (const Pair& pair : pairs)  // what the first computes is another value now: whoever compares by name must not take it for the original's
    for (ValueId id : {graph.nodes[pair.first].outputs[0], graph.nodes[pair.second].inputs[0]})
      if (const std::string& name = graph.at(id).name; !name.ends_with("_equalized")) graph.at(id).name = graph.unique_name(name + "_equalized");
  pass.changed = int(pairs.size());
  if (pairs.empty()) pass.notes.push_back("no two convolutions follow each other through a ReLU or directly");
}

}  // namespace

Pass pass_equalize_layers() {
  return declare_pass<EqualizeLayers>("equalize-layers", "Evens out the ranges of channels between consecutive convolutions, so that int8 loses less.",
                                      "Nagel et al. 2019, Data-Free Quantization, section 4.1", true, run);
}

}  // namespace pare
