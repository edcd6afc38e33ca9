// Convolutions whose outputs DepthToSpace spreads over pixels compute them in another order: channels that become neighbours of one pixel lie together
// then, and are moved as runs instead of one by one.
#include <algorithm>

#include "codecs/codecs.h"
#include "engine/plan.h"
#include "graph/fuse.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

constexpr int64_t kLeastRun = 8;  // channels: below that runs are no better than single elements

// Works on each channel alone and on all alike.
bool same_for_all_channels(const Graph& graph, const Node& node) {
  static constexpr const char* kFunctions[] = {"Relu", "LeakyRelu", "Clip", "Sigmoid", "Tanh", "HardSwish", "Elu", "QuantizeLinear", "DequantizeLinear"};
  if (std::none_of(std::begin(kFunctions), std::end(kFunctions), [&](const char* op) { return node.is(op); })) return false;
  return std::all_of(node.inputs.begin() + 1, node.inputs.end(), [&](ValueId id) { return id == kNone || (graph.constant(id) != nullptr && graph.constant(id)->count() == 1); });
}

// The convolution that alone makes this value, but for functions of single channels; null: another node does.
Node* layer_behind(Graph& graph, const Uses& uses, ValueId id) {
  while (uses.only_consumer(id) >= 0 && uses.producer(id) != nullptr) {
    Node& node = graph.nodes[size_t(uses.producer_index(id))];
    if (node.is("Conv")) return &node;
    if (!same_for_all_channels(graph, node)) return nullptr;
    id = node.inputs[0];
  }
  return nullptr;
}

// Row i of the result is row from[i]; empty for storage whose rows do not stand for themselves.
std::optional<Tensor> with_rows(const Tensor& tensor, const std::vector<int64_t>& from) {
  const auto rows = int64_t(from.size());
  if (tensor.dims.empty() || tensor.dims[0] != rows || (tensor.codec != nullptr && tensor.codec->blocks != nullptr) || (tensor.parts.size() > 1 && (tensor.axis != 0 || tensor.group != 0))) return std::nullopt;
  Tensor moved = tensor;
  for (Array& part : moved.parts) {
    if (part.count() == 1) continue;
    if (part.rank() == 0 || part.dim(0) != rows || type_bits(part.type()) % 8 != 0) return std::nullopt;
    part = part.with_rows(from);
  }
  return moved;
}

// Outputs in the order [group][row in a square][column][channel] from where they are; empty where they would change groups.
std::vector<int64_t> order_of(int64_t channels, int64_t square, int64_t groups, int64_t groups_now) {
  std::vector<int64_t> from;
  const int64_t run = channels / groups, run_now = channels / groups_now;
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t part = 0; part < square; ++part)
      for (int64_t c = group * run; c < (group + 1) * run; ++c) {
        from.push_back((c / run_now * square + part) * run_now + c % run_now);
        if (from.back() / (run * square) != group) return {};
      }
  return from;
}

}  // namespace

int order_subpixels(Graph& graph) {
  const Uses uses(graph);
  int ordered = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!graph.nodes[n].is("DepthToSpace")) continue;
    const auto y = dims_of(graph, graph.nodes[n].outputs[0]);
    Node* conv = layer_behind(graph, uses, graph.nodes[n].inputs[0]);
    if (!y || y->size() != 4 || conv == nullptr) continue;
    const int64_t block = graph.nodes[n].integer("blocksize", 1), groups = conv->integer("group", 1), channels = (*y)[1], now = depth_groups(graph.nodes[n], channels);
    const Tensor *weight = graph.constant(conv->input(1)), *bias = graph.constant(conv->input(2));
    // With groups the copy has an axis more, in place of the images'.
    if (now < 1 || channels % now != 0 || weight == nullptr || (conv->input(2) != kNone && bias == nullptr) || groups == now || channels % groups != 0 || channels / groups < kLeastRun || (groups > 1 && (*y)[0] != 1)) continue;
    const std::vector<int64_t> from = order_of(channels, block * block, groups, now);
    const auto moved = from.empty() ? std::nullopt : with_rows(*weight, from);
    const auto moved_bias = moved && bias != nullptr ? with_rows(*bias, from) : std::nullopt;
    if (!moved || (bias != nullptr && !moved_bias)) continue;
    conv->inputs[1] = graph.add_constant(graph.unique_name(graph.at(conv->inputs[1]).name + "_ordered"), *moved);
    if (moved_bias) conv->inputs[2] = graph.add_constant(graph.unique_name(graph.at(conv->inputs[2]).name + "_ordered"), *moved_bias);
    graph.nodes[n].attributes[kDepthGroups] = groups;
    ++ordered;
  }
  if (ordered > 0) graph.remove_unused();
  return ordered;
}

}  // namespace pare
