// The parameter-free shortcut of residual networks (He et al. 2016, option A) exports as Slice with steps and Pad of
// channels. As a 1x1 convolution with ones it joins the other layers: same layout, and the sum behind it is fused.
#include "codecs/codecs.h"
#include "engine/plan.h"

namespace pare {
namespace {

// A chain of Slice and Pad that takes every stride-th pixel and surrounds the channels with zeros.
struct Subsample {
  std::vector<int> nodes;
  ValueId result = kNone;
  int64_t stride[2] = {1, 1};
  int64_t before = 0, after = 0;  // channels of zeros
};

// Adds a Slice that keeps every step-th row or column from the first to the last.
bool add_slice(const Graph& graph, const Node& node, const Dims& from, Subsample& chain) {
  const auto starts = constant_integers(graph, node.input(1)), ends = constant_integers(graph, node.input(2));
  if (!starts || !ends || chain.before != 0 || chain.after != 0) return false;
  std::vector<int64_t> axes, steps(starts->size(), 1);
  for (size_t i = 0; i < starts->size(); ++i) axes.push_back(int64_t(i));
  if (const auto given = constant_integers(graph, node.input(3))) axes = *given;
  if (const auto given = constant_integers(graph, node.input(4))) steps = *given;
  if (axes.size() != starts->size() || steps.size() != starts->size()) return false;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
    const bool whole = (*starts)[i] == 0 && (*ends)[i] >= from[size_t(axis)] && steps[i] >= 1;
    if (!whole || (axis < 2 && steps[i] != 1)) return false;
    if (axis >= 2) chain.stride[axis - 2] *= steps[i];
  }
  return true;
}

bool add_pad(const Graph& graph, const Node& node, Subsample& chain) {
  if (node.text("mode", "constant") != "constant" || node.input(3) != kNone) return false;
  const auto pads = node.input(1) != kNone ? constant_integers(graph, node.input(1)) : std::optional(node.integers("pads"));
  const Tensor* value = graph.constant(node.input(2));
  if (node.input(2) != kNone && (value == nullptr || value->decode().to_floats()[0] != 0)) return false;
  if (!pads || pads->size() != 8) return false;
  for (size_t i = 0; i < 8; ++i)
    if ((*pads)[i] < 0 || (i % 4 != 1 && (*pads)[i] != 0)) return false;
  chain.before += (*pads)[1];
  chain.after += (*pads)[5];
  return true;
}

std::optional<Subsample> chain_from(const Graph& graph, const std::vector<std::vector<int>>& consumers, int first) {
  Subsample chain;
  for (int n = first;;) {
    const Node& node = graph.nodes[size_t(n)];
    const auto& shape = graph.at(node.inputs[0]).shape;
    const auto from = shape ? known_dims(*shape) : std::nullopt;
    if (!from || from->size() != 4 || graph.at(node.inputs[0]).type != Type::f32) break;
    Subsample longer = chain;
    if (!(node.is("Slice") ? add_slice(graph, node, *from, longer) : node.is("Pad") && add_pad(graph, node, longer))) break;
    longer.nodes.push_back(n);
    longer.result = node.outputs[0];
    chain = longer;
    if (graph.is_output(chain.result) || consumers[size_t(chain.result)].size() != 1) break;
    n = consumers[size_t(chain.result)][0];
  }
  if (chain.nodes.empty() || chain.stride[0] * chain.stride[1] == 1) return std::nullopt;
  return chain;
}

// Ones on the shifted diagonal, stored the way the layers around are, so that it computes in their precision.
Tensor projection(const Graph& graph, ValueId source, int64_t channels, const Subsample& chain, bool bf16) {
  const int64_t outputs = channels + chain.before + chain.after;
  Array ones(Type::f32, {outputs, channels, 1, 1});
  auto w = ones.mutable_values<float>();
  for (int64_t c = 0; c < channels; ++c) w[size_t((c + chain.before) * channels + c)] = 1;
  for (const Node& node : graph.nodes)
    if (node.outputs[0] == source && node.is("DequantizeLinear")) {
      // One scale for all channels, also those of zeros: 127 · (1/127) = 1.
      return codec_int8.encode(ones, -1, 0);
    }
  return bf16 ? codec_bfloat16.encode(ones, 0, 0) : Tensor(ones);
}

}  // namespace

int replace_subsampling(Graph& graph) {
  bool bf16 = false;
  for (const Value& value : graph.values) bf16 |= value.constant && value.constant->codec == &codec_bfloat16;
  const auto consumers = graph.consumers();
  std::vector<char> dead(graph.nodes.size(), 0);
  int replaced = 0;
  const size_t count = graph.nodes.size();
  for (size_t n = 0; n < count; ++n) {
    if (dead[n] || !(graph.nodes[n].is("Slice") || graph.nodes[n].is("Pad"))) continue;
    const auto chain = chain_from(graph, consumers, int(n));
    if (!chain) continue;
    const ValueId source = graph.nodes[n].inputs[0];
    const int64_t channels = (*graph.at(source).shape)[1].value;
    const ValueId weight = graph.add_constant(graph.at(chain->result).name + "_ones", projection(graph, source, channels, *chain, bf16));
    const std::string name = graph.nodes[n].name;
    for (int k : chain->nodes) dead[size_t(k)] = 1;
    Node& conv = graph.add_node("Conv", {source, weight}, {chain->result});
    conv.name = name;
    conv.attributes["strides"] = std::vector<int64_t>{chain->stride[0], chain->stride[1]};
    ++replaced;
  }
  graph.remove_nodes(dead);
  if (replaced > 0) graph.sort();
  return replaced;
}

}  // namespace pare
