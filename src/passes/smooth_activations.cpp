// Where channel j of a value is divided by s_j and the weights that read it are multiplied by s_j, the layers compute the
// same, but a few loud channels no longer take the range of all: their size moves into the weights, which have scales of
// their own. The division costs nothing where the node in front has constants a channel to take it up.
#include <algorithm>
#include <cmath>

#include "passes/pass.h"
#include "passes/statistics/activation.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct SmoothActivations {
  double alpha = 0.5;
  static std::vector<Field> fields() {
    return FieldList<SmoothActivations>()
        .number("alpha", &SmoothActivations::alpha, 0, 1, "", "how much of the loud channels' size moves into the weights; 0: none of it", {"0.5", "0.75"})
        .take();
  }
};

// A constant that input `input` of `node` reads; its axis `axis` runs along the channels.
struct ChannelConstant {
  int node = 0;
  size_t input = 0;
  int axis = 0;
};

struct Group {
  ValueId value = kNone;                  // what is smoothed
  bool last_axis = false;                 // its channels: the last axis, else axis 1
  std::vector<ChannelConstant> producers; // divided by s
  std::vector<ValueId> between;           // values in front of it that change with it
  std::vector<ChannelConstant> readers;   // multiplied by s
};

bool plain_float(const Graph& graph, ValueId id, size_t rank_at_least) {
  const Tensor* tensor = graph.constant(id);
  return tensor != nullptr && tensor->plain() && tensor->type == Type::f32 && tensor->dims.size() >= rank_at_least;
}

class GroupFinder {
 public:
  explicit GroupFinder(const Graph& graph) : graph_(graph), producer_(graph.producers()), consumers_(graph.consumers()) {}

  std::vector<Group> find(int* refused) const {
    std::vector<Group> groups;
    for (const Node& node : graph_.nodes)
      for (ValueId value : node.outputs) {
        if (value == kNone) continue;
        Group group;
        group.value = value;
        if (!read_by_layers(group)) continue;
        if (channels_made(value, group)) groups.push_back(std::move(group));
        else ++*refused;
      }
    return groups;
  }

 private:
  // All readers are layers with weights of their own, over the same axis.
  bool read_by_layers(Group& group) const {
    const auto& readers = consumers_[size_t(group.value)];
    if (readers.empty() || graph_.is_output(group.value)) return false;
    group.last_axis = !graph_.nodes[size_t(readers[0])].is("Conv");
    for (int n : readers) {
      const Node& node = graph_.nodes[size_t(n)];
      const ValueId weight = node.input(1);
      if (node.input(0) != group.value || !plain_float(graph_, weight, 2) || consumers_[size_t(weight)].size() != 1 || graph_.is_output(weight)) return false;
      const int axis = input_axis(node, *graph_.constant(weight));
      if (axis < 0 || node.is("Conv") == group.last_axis) return false;
      group.readers.push_back({n, 1, axis});
    }
    return true;
  }

  // The axis of a weight along its layer's input channels; -1 where there is none.
  static int input_axis(const Node& node, const Tensor& weight) {
    const bool matrix = weight.dims.size() == 2;
    if (node.is("MatMul") && matrix) return 0;
    if (node.is("Gemm") && matrix && node.integer("transA", 0) == 0) return node.integer("transB", 0) != 0 ? 1 : 0;
    if (!node.is("Conv")) return -1;
    const int64_t groups = node.integer("group", 1);
    return groups == 1 ? 1 : weight.dims[1] == 1 && groups == weight.dims[0] ? 0 : -1;
  }

  int64_t channels(const Group& group) const {
    const ChannelConstant& reader = group.readers[0];
    return graph_.constant(graph_.nodes[size_t(reader.node)].inputs[1])->dims[size_t(reader.axis)];
  }

  // A constant [C], or [1, …, C], as one along the last axis.
  bool row(const Node& node, size_t input, int n, Group& group) const {
    if (!plain_float(graph_, node.input(input), 1)) return false;
    const Dims& dims = graph_.constant(node.inputs[input])->dims;
    if (dims.back() != channels(group) || count_of(dims) != dims.back()) return false;
    group.producers.push_back({n, input, int(dims.size()) - 1});
    return true;
  }

  // `value` = Add/Mul of a constant a channel and another value, which goes to `other`.
  bool with_row(const Node& node, int n, Group& group, ValueId& other) const {
    for (size_t i = 0; i < 2; ++i)
      if (node.inputs.size() == 2 && graph_.constant(node.inputs[1 - i]) == nullptr && row(node, i, n, group)) {
        other = node.inputs[1 - i];
        return true;
      }
    return false;
  }

  // The nodes that make `value` have constants a channel which can be divided; each step's value is read by nobody else.
  bool channels_made(ValueId value, Group& group) const {
    const int n = producer_[size_t(value)];
    if (n < 0) return false;
    const Node& node = graph_.nodes[size_t(n)];
    const auto go_on = [&](ValueId next) {
      if (consumers_[size_t(next)].size() != 1 || graph_.is_output(next)) return false;
      group.between.push_back(next);
      return channels_made(next, group);
    };
    // The first scales each channel, so nothing in front of it is touched; positive factors pass a ReLU.
    if (node.is("Relu") || node.is("LeakyRelu")) return go_on(node.inputs[0]);
    if (!group.last_axis) return convolution(node, n, group);
    if (node.is("LayerNormalization") || node.is("RMSNormalization")) return value == node.outputs[0] && row(node, 1, n, group) && (node.input(2) == kNone || row(node, 2, n, group));
    if (node.is("MatMul") || node.is("Gemm")) return linear(node, n, group);
    ValueId other = kNone;
    if (node.is("Mul")) return with_row(node, n, group, other);
    return node.is("Add") && with_row(node, n, group, other) && go_on(other);
  }

  bool own_weight(const Node& node, int axis, int n, Group& group) const {
    const ValueId weight = node.input(1);
    if (!plain_float(graph_, weight, 2) || consumers_[size_t(weight)].size() != 1 || graph_.constant(weight)->dims[size_t(axis)] != channels(group)) return false;
    group.producers.push_back({n, 1, axis});
    return true;
  }
  bool convolution(const Node& node, int n, Group& group) const {
    if (!node.is("Conv") || !own_weight(node, 0, n, group)) return false;
    if (node.input(2) == kNone) return true;
    group.producers.push_back({n, 2, 0});
    return plain_float(graph_, node.inputs[2], 1);
  }
  bool linear(const Node& node, int n, Group& group) const {
    if (!plain_float(graph_, node.input(1), 2) || graph_.constant(node.inputs[1])->dims.size() != 2) return false;
    const bool rows = node.is("Gemm") && node.integer("transB", 0) != 0;
    return own_weight(node, rows ? 0 : 1, n, group) && (node.input(2) == kNone || row(node, 2, n, group));
  }

  const Graph& graph_;
  const std::vector<int> producer_;
  const std::vector<std::vector<int>> consumers_;
};

void request(const Graph& graph, const SmoothActivations&, Observations& observations) {
  int refused = 0;
  for (const Group& group : GroupFinder(graph).find(&refused))
    observations[graph.at(group.value).name] = std::make_shared<ActivationStatistics>(false, group.last_axis ? -1 : 1);
}

// max|w| over all readers, per input channel.
std::vector<double> weight_ranges(const Graph& graph, const Group& group, size_t channels) {
  std::vector<double> ranges(channels, 0.0);
  for (const ChannelConstant& reader : group.readers) {
    const Array& weight = graph.constant(graph.nodes[size_t(reader.node)].inputs[reader.input])->array();
    size_t inner = 1;
    for (int i = reader.axis + 1; i < weight.rank(); ++i) inner *= size_t(weight.dim(i));
    const auto values = weight.values<float>();
    if (weight.dim(reader.axis) != int64_t(channels)) return {};
    for (size_t i = 0; i < values.size(); ++i) {
      double& range = ranges[i / inner % channels];
      range = std::max(range, double(std::abs(values[i])));
    }
  }
  return ranges;
}

// s of each channel, equation 4, as a power of two: products stay exact, and √2 more or less is little beside outliers.
std::vector<float> factors(const std::vector<double>& activations, const std::vector<double>& weights, double alpha) {
  std::vector<float> factor(weights.size(), 1.f);
  for (size_t c = 0; c < factor.size(); ++c)
    if (activations[c] > 0 && weights[c] > 0)
      // Bounded, so that a channel that was quiet on the samples does not drown the others' weights.
      factor[c] = float(std::exp2(std::nearbyint(std::log2(std::clamp(std::pow(activations[c], alpha) / std::pow(weights[c], 1 - alpha), 1e-3, 1e3)))));
  return factor;
}

// The constant becomes this node's own where others read it too.
void multiply(Graph& graph, const ChannelConstant& place, const std::vector<float>& factor, bool divide) {
  Node& node = graph.nodes[size_t(place.node)];
  const ValueId id = node.inputs[place.input];
  Array array = graph.constant(id)->array();
  size_t inner = 1;
  for (int i = place.axis + 1; i < array.rank(); ++i) inner *= size_t(array.dim(i));
  auto values = array.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const float s = factor[i / inner % factor.size()];
    values[i] = divide ? values[i] / s : values[i] * s;
  }
  if (graph.consumers()[size_t(id)].size() == 1 && !graph.is_output(id)) replace_constant(graph, id, Tensor(array));
  else node.inputs[place.input] = graph.add_constant(graph.at(id).name, Tensor(array));
}

void run(Graph& graph, const SmoothActivations& options, PassRun& pass) {
  int refused = 0;
  for (const Group& group : GroupFinder(graph).find(&refused)) {
    const auto seen = pass.observed.find(graph.at(group.value).name);
    if (seen == pass.observed.end()) continue;
    const std::vector<double> activations = static_cast<const ActivationStatistics&>(*seen->second).channel_magnitudes();
    const std::vector<double> weights = weight_ranges(graph, group, activations.size());
    if (weights.empty()) continue;
    const std::vector<float> factor = factors(activations, weights, options.alpha);
    for (const ChannelConstant& producer : group.producers) multiply(graph, producer, factor, true);
    for (const ChannelConstant& reader : group.readers) multiply(graph, reader, factor, false);
    // Their values are others now: whoever compares by name must not take them for the original's.
    std::vector<ValueId> changed = group.between;
    changed.push_back(group.value);
    for (ValueId id : changed) graph.at(id).name = graph.unique_name(graph.at(id).name + "_smoothed");
    ++pass.changed;
  }
  if (refused > 0) pass.notes.push_back(std::to_string(refused) + " inputs of layers stay as they are: nothing in front has constants a channel that could take the factors up");
  if (pass.changed == 0) pass.notes.push_back("no value is read by float layers alone and made by a normalization or layer: smooth-activations stands in front of quantizations");
}

}  // namespace

Pass pass_smooth_activations() {
  return declare_pass<SmoothActivations>("smooth-activations", "Moves the size of loud channels from activations into the weights that read them, so that int8 loses less. Needs data.",
                                         "Xiao et al. 2022, SmoothQuant, section 4, equation 4", true, run, request);
}

}  // namespace pare
