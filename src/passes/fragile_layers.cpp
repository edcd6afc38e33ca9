#include "passes/fragile_layers.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/output_error.h"
#include "passes/channel_cuts.h"
#include "passes/quantize_plan.h"

namespace pare {
namespace {

// A hundredth of the outputs' power: detectors and super-resolution networks above it keep their quality on real data.
constexpr double kEnoughDb = 20;
constexpr int64_t kSamples = 2;

struct Candidate {
  const SharedLayer* layer;
  int64_t macs;
  double noise;  // at the output, over the signal, with this layer alone in 8 bits
};

bool reads_eight_bits(const Graph& graph, const Node& node, const std::vector<int>& producers) {
  const int from = node.input(0) == kNone ? -1 : producers[size_t(node.inputs[0])];
  return is_layer(node) && from >= 0 && graph.nodes[size_t(from)].is("DequantizeLinear");
}

std::vector<Candidate> measured_alone(const std::vector<SharedLayer>& layers, const Graph& floats, const Graph& quantized, OutputError& error, const PassRun& pass) {
  const std::vector<int> producers = quantized.producers();
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (interrupted()) throw Error("quantize-static", "interrupted while measuring the layers");
    if (pass.progress) pass.progress("quantize-static: each layer alone", double(i), double(layers.size()));
    if (!reads_eight_bits(quantized, quantized.nodes[size_t(layers[i].second)], producers)) continue;
    candidates.push_back({&layers[i], std::max<int64_t>(count_macs(floats, floats.nodes[size_t(layers[i].first)]), 1), noise_over_signal(error.sqnr_db(quantized, layers[i]))});
  }
  return candidates;
}

}  // namespace

Fragility find_fragile(const Graph& floats, const Graph& quantized, double float_share, PassRun& pass) {
  OutputError error(floats, spread_samples(pass.samples, kSamples));
  Fragility found{error.sqnr_db(quantized) < kEnoughDb, {}};
  if (!found.outputs || float_share == 0) return found;
  const std::vector<SharedLayer> layers = shared_layers(floats, quantized);
  Graph concrete = floats;  // multiplications are counted at a sample's extents where the model leaves them open
  infer_shapes(concrete, assumed_inputs(floats, pass));
  std::vector<Candidate> candidates = measured_alone(layers, concrete, quantized, error, pass);
  double noise = 0;
  for (const Candidate& candidate : candidates) noise += candidate.noise;
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.noise * double(b.macs) > b.noise * double(a.macs); });
  const double least = noise / 60;  // less is not worth a conversion
  auto budget = int64_t(float_share * double(count_macs(concrete)));
  for (const Candidate& candidate : candidates) {
    if (noise <= noise_over_signal(kEnoughDb)) break;
    if (candidate.macs > budget || candidate.noise < least) continue;
    budget -= candidate.macs;
    noise -= candidate.noise;
    found.layers[candidate.layer->value] = fmt::format("in 8 bits it alone would leave the output {:.0f} dB above its noise (float-share)", signal_over_noise_db(candidate.noise));
  }
  return found;
}

}  // namespace pare
