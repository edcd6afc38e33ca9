// Draws every weight anew: what training from scratch starts from.
#include <cmath>

#include "base/random.h"
#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct InitializeWeights {
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<InitializeWeights>().word("exclude", &InitializeWeights::exclude, {}, "layers that keep what they have: names or operators, * for anything, | between them").take();
  }
};

// Weights that reach one output: what its variance adds up over.
double inputs_of(const Node& node, const Dims& dims, int axis) {
  double count = double(count_of(dims)) / double(dims[size_t(axis)]);
  if (node.is("ConvTranspose"))  // of a kernel's taps only every stride-th meets an output
    for (int64_t stride : node.integers("strides")) count /= double(std::max<int64_t>(stride, 1));
  return std::max(count, 1.0);
}

// Whether what is below zero in the layer's result is lost to all that read it.
bool rectified(const Graph& graph, const std::vector<std::vector<int>>& consumers, ValueId value) {
  for (int n : consumers[size_t(value)]) {
    const Node& node = graph.nodes[size_t(n)];
    if (node.is("BatchNormalization")) return rectified(graph, consumers, node.outputs[0]);
    for (const char* op : {"Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Gelu", "HardSwish", "Swish", "Mish", "Softplus"})
      if (node.is(op)) return true;
  }
  return false;
}

void fill(Graph& graph, ValueId id, float value) {
  const Tensor* old = graph.constant(id);
  if (old == nullptr || !is_float(old->type)) return;
  replace_constant(graph, id, Tensor(Array::of<float>(old->dims, std::vector<float>(size_t(old->count()), value)).cast(old->type)));
}

void run(Graph& graph, const InitializeWeights& options, PassRun& pass) {
  Random random(pass.seed);
  const auto consumers = graph.consumers();
  std::set<ValueId> drawn;
  for (const WeightUse& use : weight_uses(graph)) {
    const Node& node = graph.nodes[size_t(use.node)];
    if (name_matches(options.exclude, node) || !drawn.insert(use.value).second) continue;
    const Tensor& old = *graph.constant(use.value);
    const double gain = rectified(graph, consumers, node.outputs[0]) ? 2 : 1;
    const double deviation = node.is("Gather") ? 1 / std::sqrt(double(old.dims.back())) : std::sqrt(gain / inputs_of(node, old.dims, use.channel_axis));
    std::vector<float> values(size_t(old.count()));
    for (float& value : values) value = float(deviation * random.normal());
    replace_constant(graph, use.value, Tensor(Array::of<float>(old.dims, values).cast(old.type)));
    if (!node.is("Gather") && !node.is("MatMul")) fill(graph, node.input(2), 0);
    ++pass.changed;
  }
  for (const Node& node : graph.nodes) {
    if (!node.is("BatchNormalization") || name_matches(options.exclude, node)) continue;
    const float values[] = {1, 0, 0, 1};  // scale, bias, mean, variance
    for (size_t i = 0; i < 4; ++i) fill(graph, node.input(i + 1), values[i]);
    ++pass.changed;
  }
  pass.notes.push_back("weights are drawn from seed " + std::to_string(pass.seed) + ": only training behind it makes this a model");
}

}  // namespace

Pass pass_initialize_weights() {
  return declare_pass<InitializeWeights>("initialize-weights", "Draws the weights of all layers anew and resets biases and batch normalizations: the start of training from scratch.",
                                         "He et al. 2015, Delving Deep into Rectifiers, section 2.2", false, run);
}

}  // namespace pare
