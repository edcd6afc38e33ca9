// Rounding a weight shifts the layer's mean output by E[x]·(Wq − W); the bias takes the shift back. The mean of each
// input channel comes from calibration, the exact weight from the graph as it was before it was rounded.
#include <cmath>

#include "codecs/codecs.h"
#include "passes/pass.h"
#include "passes/statistics/channel_mean.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct CorrectBias {
  static std::vector<Field> fields() { return {}; }
};

void request(const Graph& graph, const CorrectBias&, Observations& observations) {
  for (const WeightUse& use : weight_uses(graph)) {
    const Node& node = graph.nodes[size_t(use.node)];
    if ((node.is("Conv") || node.is("Gemm")) && node.input(2) != kNone) observations[graph.at(node.inputs[0]).name] = std::make_shared<ChannelMean>();
  }
}

// Σ over inputs of mean[input] · (compressed − exact), per output channel; weight [out, in/groups, taps…] or [out, in].
std::vector<double> output_shift(const Array& exact, const Array& compressed, const std::vector<double>& mean, int64_t groups, bool transposed) {
  const int64_t outputs = exact.dim(transposed ? 1 : 0), inputs = exact.dim(transposed ? 0 : 1), taps = exact.count() / (outputs * inputs);
  const auto a = exact.values<float>(), b = compressed.values<float>();
  std::vector<double> shift(size_t(outputs), 0.0);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t i = 0; i < inputs; ++i)
      for (int64_t t = 0; t < taps; ++t) {
        const auto at = size_t(transposed ? i * outputs + o : (o * inputs + i) * taps + t);
        const auto channel = size_t(groups > 1 ? o / (outputs / groups) * inputs + i : i);
        shift[size_t(o)] += mean.at(channel) * (double(b[at]) - a[at]);
      }
  return shift;
}

void run(Graph& graph, const CorrectBias&, PassRun& pass) {
  std::map<std::string, const Node*> by_output;  // by the name of what a layer computes, which passes keep
  for (const Node& node : pass.reference.nodes)
    if (node.is("Conv") || node.is("Gemm")) by_output[pass.reference.at(node.outputs[0]).name] = &node;
  for (Node& node : graph.nodes) {
    if (!node.is("Conv") && !node.is("Gemm")) continue;
    auto found = by_output.find(graph.at(node.outputs[0]).name);
    const Tensor *weight = graph.constant(node.input(1)), *bias = graph.constant(node.input(2));
    if (found == by_output.end() || weight == nullptr || weight->plain() || bias == nullptr) continue;
    const Node& original = *found->second;
    const Tensor* original_weight = pass.reference.constant(original.input(1));
    auto mean = pass.observed.find(pass.reference.at(original.inputs[0]).name);
    if (original_weight == nullptr || original_weight->dims != weight->dims || mean == pass.observed.end()) continue;
    const std::vector<double> means = static_cast<const ChannelMean&>(*mean->second).means();
    const bool transposed = node.is("Gemm") && node.integer("transB", 0) == 0;
    const int64_t groups = node.integer("group", 1), inputs = weight->dims[transposed ? 0 : 1] * (node.is("Conv") ? groups : 1);
    if (int64_t(means.size()) != inputs) continue;
    const std::vector<double> shift = output_shift(original_weight->decode().cast(Type::f32), weight->decode(), means, groups, transposed);
    std::vector<float> values = bias->decode().to_floats();
    if (values.size() != shift.size()) continue;
    for (size_t c = 0; c < values.size(); ++c) values[c] = float(values[c] - shift[c]);
    Array corrected = Array::of<float>(bias->dims, values);
    if (bias->codec == &codec_int32) {
      const Array& scale = bias->parts[1];
      Array q(Type::i32, bias->dims);
      auto out = q.mutable_values<int32_t>();
      for (size_t c = 0; c < values.size(); ++c) out[c] = int32_t(std::nearbyint(double(values[c]) / scale.values<float>()[scale.count() == 1 ? 0 : c]));
      replace_constant(graph, node.inputs[2], affine_tensor(q, scale, Array(), bias->axis));
    } else {
      replace_constant(graph, node.inputs[2], Tensor(corrected));
    }
    ++pass.changed;
  }
  if (pass.changed == 0) pass.notes.push_back("no compressed layer with a bias: put correct-bias behind the quantization");
}

}  // namespace

Pass pass_correct_bias() {
  return declare_pass<CorrectBias>("correct-bias", "Takes the mean error of rounded weights out of the biases. Needs data; stands behind a quantization.",
                                   "Nagel et al. 2019, Data-Free Quantization, section 4.2", false, run, request);
}

}  // namespace pare
