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
    const int axis = node.is("Gemm") && node.integer("transB", 0) == 0 ? 1 : 0;
    const std::vector<double> shift = mean_shift(original_weight->decode(), weight->decode(), axis, means);
    if (shift.empty()) continue;
    // From the exact bias, if it is at hand: the quantization may have corrected its own.
    const Tensor* exact = pass.reference.constant(original.input(2));
    if (exact == nullptr || exact->dims != bias->dims) exact = bias;
    std::vector<float> values = exact->decode().to_floats();
    if (values.size() != shift.size()) continue;
    for (size_t c = 0; c < values.size(); ++c) values[c] = float(values[c] - shift[c]);
    const Array corrected = Array::of<float>(bias->dims, values);
    replace_constant(graph, node.inputs[2], bias->codec == &codec_int32 ? int32_tensor(corrected, bias->parts[1]) : Tensor(corrected));
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
