#include "graph/simplify.h"

#include <algorithm>
#include <cmath>

#include "graph/op.h"

namespace pare {
namespace {

bool plain_float(const Tensor* tensor) { return tensor != nullptr && tensor->plain() && is_float(tensor->type); }

// Factor and offset of a BatchNormalization with constant statistics: y = x·factor + offset per channel.
struct Affine {
  std::vector<double> factor, offset;
};
std::optional<Affine> affine_of(const Graph& graph, const Node& node) {
  const Tensor* part[5] = {};
  for (size_t i = 1; i < 5; ++i) {
    part[i] = graph.constant(node.input(i));
    if (part[i] == nullptr) return std::nullopt;
  }
  if (node.integer("training_mode", 0) != 0) return std::nullopt;
  const auto scale = part[1]->decode().to_floats(), bias = part[2]->decode().to_floats(), mean = part[3]->decode().to_floats(),
             variance = part[4]->decode().to_floats();
  Affine affine;
  for (size_t c = 0; c < scale.size(); ++c) {
    const double factor = double(scale[c]) / std::sqrt(double(variance.at(c)) + node.real("epsilon", 1e-5f));
    affine.factor.push_back(factor);
    affine.offset.push_back(bias.at(c) - mean.at(c) * factor);
  }
  return affine;
}

// Multiplies entry c along `axis` of the weight by factor[c].
Array scaled(const Array& weight, int axis, const std::vector<double>& factor, int64_t groups) {
  Array result = weight.cast(Type::f32);
  int64_t inner = 1;
  for (int i = axis + 1; i < weight.rank(); ++i) inner *= weight.dim(i);
  const int64_t extent = weight.dim(axis);
  auto values = result.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t c = int64_t(i) / inner % extent;
    // A transposed convolution holds [in, out/groups, …]: the group of an input channel shifts the output channel.
    if (groups > 1) c += int64_t(i) / (inner * extent) / (weight.dim(0) / groups) * extent;
    values[i] = float(values[i] * factor.at(size_t(c)));
  }
  return result;
}

// A batch normalization that can be merged into the layer in front of it.
struct Merge {
  Affine affine;
  int axis = 0;            // of the weight's output channels
  int64_t groups = 1;      // by which that axis is too short
};
std::optional<Merge> merge_of(const Graph& graph, const Node& conv, const Node& norm) {
  const bool transposed = conv.is("ConvTranspose"), gemm = conv.is("Gemm");
  if (!norm.is("BatchNormalization") || !(conv.is("Conv") || transposed || gemm)) return std::nullopt;
  auto affine = affine_of(graph, norm);
  const Tensor* weight = graph.constant(conv.input(1));
  const Tensor* bias = graph.constant(conv.input(2));
  if (!affine || !plain_float(weight) || (conv.input(2) != kNone && !plain_float(bias))) return std::nullopt;
  if (gemm && (conv.real("alpha", 1) != 1 || conv.real("beta", 1) != 1)) return std::nullopt;
  const int axis = transposed ? 1 : gemm ? int(conv.integer("transB", 0) == 0) : 0;
  const int64_t groups = transposed ? conv.integer("group", 1) : 1, channels = weight->dims[size_t(axis)] * groups;
  if (int64_t(affine->factor.size()) != channels || (bias != nullptr && bias->count() != channels)) return std::nullopt;
  return Merge{*std::move(affine), axis, groups};
}

bool fold_one(Graph& graph, Node& conv, const Node& norm) {
  const auto merge = merge_of(graph, conv, norm);
  if (!merge) return false;
  const Tensor* weight = graph.constant(conv.input(1));
  const Tensor* bias = graph.constant(conv.input(2));
  const auto channels = int64_t(merge->affine.factor.size());
  const std::vector<float> old = bias ? bias->decode().to_floats() : std::vector<float>(size_t(channels), 0.f);
  Array offset(Type::f32, {channels});
  auto values = offset.mutable_values<float>();
  for (size_t c = 0; c < values.size(); ++c) values[c] = float(old[c] * merge->affine.factor[c] + merge->affine.offset[c]);
  const std::string name = graph.at(conv.inputs[1]).name;
  const ValueId new_weight = graph.add_constant(name, Tensor(scaled(weight->array(), merge->axis, merge->affine.factor, merge->groups)));
  const ValueId new_bias = graph.add_constant(conv.input(2) != kNone ? graph.at(conv.inputs[2]).name : name + "_b", Tensor(offset));
  conv.inputs.resize(3, kNone);
  conv.inputs[1] = new_weight;
  conv.inputs[2] = new_bias;
  return true;
}

}  // namespace

int fold_batch_norms(Graph& graph) {
  const std::vector<int> producer = graph.producers();
  const auto consumers = graph.consumers();
  std::vector<char> dead(graph.nodes.size(), 0);
  int changed = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node norm = graph.nodes[n];
    if (!norm.is("BatchNormalization")) continue;
    const ValueId x = norm.inputs[0];
    if (producer[size_t(x)] < 0 || consumers[size_t(x)].size() != 1 || graph.is_output(x)) continue;
    Node& conv = graph.nodes[size_t(producer[size_t(x)])];
    if (!fold_one(graph, conv, norm)) continue;
    conv.outputs[0] = norm.outputs[0];
    dead[n] = 1;
    ++changed;
  }
  graph.remove_nodes(dead);
  if (changed > 0) {
    graph.sort();
    graph.remove_unused();
  }
  return changed;
}

std::vector<double> batch_norm_factors(const Graph& graph, const Node& layer, const std::vector<std::vector<int>>& consumers) {
  const ValueId y = layer.outputs[0];
  if (consumers[size_t(y)].size() != 1 || graph.is_output(y)) return {};
  auto merge = merge_of(graph, layer, graph.nodes[size_t(consumers[size_t(y)][0])]);
  return merge ? std::move(merge->affine.factor) : std::vector<double>();
}

int fold_constants(Graph& graph, int64_t most_bytes) {
  std::vector<char> dead(graph.nodes.size(), 0);
  int changed = 0;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op == nullptr || node.op->forward == nullptr || node.inputs.empty() || has_subgraphs(node)) continue;
    Forward forward{node, graph.opset(), {}, {}};
    bool constant = true;
    for (ValueId id : node.inputs) {
      const Tensor* tensor = graph.constant(id);
      // Computing with an encoded weight would store it in float: the opposite of what pare is for.
      constant &= id == kNone || (tensor != nullptr && tensor->plain());
    }
    for (ValueId id : node.outputs) constant &= id == kNone || !graph.is_output(id);
    if (!constant) continue;
    for (ValueId id : node.inputs) forward.inputs.push_back(id == kNone ? Array() : graph.constant(id)->array());
    forward.outputs.resize(node.outputs.size());
    node.op->forward(forward);
    int64_t bytes = 0;
    for (const Array& array : forward.outputs) bytes += int64_t(array.size_bytes());
    if (bytes > most_bytes) continue;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      Value& value = graph.at(node.outputs[i]);
      value.type = forward.outputs[i].type();
      value.shape = shape_of(forward.outputs[i].dims());
      value.constant = std::make_shared<const Tensor>(forward.outputs[i]);
    }
    dead[n] = 1;
    ++changed;
  }
  graph.remove_nodes(dead);
  if (changed > 0) graph.remove_unused();
  return changed;
}

namespace {

bool all_zero_pads(const Graph& graph, const Node& node) {
  if (!node.is("Pad")) return false;
  if (node.input(1) == kNone && !node.has("pads")) return false;
  const Tensor* tensor = graph.constant(node.input(1));
  if (node.input(1) != kNone && tensor == nullptr) return false;
  const std::vector<int64_t> pads = tensor ? tensor->decode().to_integers() : node.integers("pads");
  return std::all_of(pads.begin(), pads.end(), [](int64_t pad) { return pad == 0; });
}

bool same_constant(const Graph& graph, ValueId a, ValueId b) {
  if (a == b) return true;
  const Tensor *x = graph.constant(a), *y = graph.constant(b);
  return x != nullptr && y != nullptr && x->plain() && y->plain() && x->parts[0].same_as(y->parts[0]);
}

// The integer value that a QuantizeLinear merely restores: it reads a DequantizeLinear with the same scale and zero point.
ValueId restored(const Graph& graph, const Node& node, const std::vector<int>& producer) {
  if (!node.is("QuantizeLinear") || producer[size_t(node.inputs[0])] < 0) return kNone;
  const Node& back = graph.nodes[size_t(producer[size_t(node.inputs[0])])];
  if (!back.is("DequantizeLinear") || back.inputs.size() != node.inputs.size() || back.attributes.size() != node.attributes.size()) return kNone;
  for (size_t i = 1; i < node.inputs.size(); ++i)
    if (!same_constant(graph, back.inputs[i], node.inputs[i])) return kNone;
  return graph.at(back.inputs[0]).type == graph.at(node.outputs[0]).type ? back.inputs[0] : kNone;
}

}  // namespace

namespace {

bool drops_nothing(const Graph& graph, const Node& node) {
  const Tensor* ratio = graph.constant(node.input(1));
  return ratio != nullptr && ratio->count() == 1 && ratio->decode().to_floats()[0] == 0;
}

}  // namespace

int remove_no_ops(Graph& graph) {
  const size_t before = graph.nodes.size();
  const std::vector<int> producer = graph.producers();
  std::set<std::string> inside;  // subgraphs go on reading these names
  for (const Node& node : graph.nodes) inside.merge(outer_names(node));
  std::vector<char> dead(graph.nodes.size(), 0);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const bool same_type = node.is("Cast") && graph.at(node.inputs[0]).type == graph.at(node.outputs[0]).type && graph.at(node.inputs[0]).type != Type::none;
    const bool single = node.is("Concat") && node.inputs.size() == 1;
    const bool dropout = node.is("Dropout") && (node.outputs.size() < 2 || node.outputs[1] == kNone) && (node.input(2) == kNone || drops_nothing(graph, node));
    const ValueId integer = restored(graph, node, producer);
    if (!(node.is("Identity") || same_type || single || dropout || all_zero_pads(graph, node) || integer != kNone)) continue;
    const ValueId from = integer != kNone ? integer : node.inputs[0], to = node.outputs[0];
    if (graph.is_output(to) || inside.count(graph.at(to).name) != 0) continue;  // outputs keep their names
    dead[n] = 1;
    graph.replace_uses(to, from);
  }
  graph.remove_nodes(dead);
  graph.remove_unused();
  return int(before - graph.nodes.size());
}

}  // namespace pare
