// Weights and biases of one layer as integers.
#include <algorithm>
#include <cmath>
#include <span>

#include "codecs/codecs.h"
#include "passes/quantize_plan.h"
#include "passes/solvers/small_sums.h"
#include "passes/weights.h"

namespace pare {
namespace {

// Few levels are better spent on the many small weights than on the largest one: per channel the scale of least squared
// error, of ninety between a tenth of the largest weight's and all of it.
void fit_scales(const std::vector<float>& w, const std::vector<size_t>& channel, float most, std::span<float> scales) {
  constexpr int kTrials = 90;
  std::vector<double> least(scales.size(), INFINITY), error(scales.size());
  const std::vector<float> whole(scales.begin(), scales.end());
  for (int trial = 0; trial <= kTrials; ++trial) {
    const float share = 1 - 0.9f * float(trial) / kTrials;
    std::fill(error.begin(), error.end(), 0.0);
    for (size_t i = 0; i < w.size(); ++i) {
      const float scale = whole[channel[i]] * share, d = w[i] - std::clamp(std::nearbyint(w[i] / scale), -most, most) * scale;
      error[channel[i]] += double(d) * d;
    }
    for (size_t c = 0; c < scales.size(); ++c)
      if (error[c] < least[c]) {
        least[c] = error[c];
        scales[c] = whole[c] * share;
      }
  }
}

const Codec& codec_of(int bits) { return bits == 8 ? codec_int8 : bits == 4 ? codec_int4 : codec_int2; }

// Integers of a weight under a scale for each channel.
Array levels_of(const std::vector<float>& w, const std::vector<size_t>& channel, float most, std::span<const float> scales, const Dims& dims) {
  Array values(Type::i32, dims);
  auto q = values.mutable_values<int32_t>();
  for (size_t i = 0; i < w.size(); ++i) q[i] = int32_t(std::clamp(std::nearbyint(w[i] / scales[channel[i]]), -most, most));
  return values;
}

// The same where sums of products must fit 16 bits, for which scales may grow.
Array levels_of_small_sums(const std::vector<float>& w, const WeightOrder& order, int axis, std::span<float> scales, const Dims& dims) {
  Array values(Type::i32, dims);
  auto q = values.mutable_values<int32_t>();
  const size_t apart = axis == 0 ? order.offsets.size() : 1;
  for (size_t c = 0; c < scales.size(); ++c) round_to_small_sums(std::span(w).subspan(c * apart), order, scales[c], q.subspan(c * apart));
  return values;
}

struct WeightForm {
  int axis = 0, bits = 8;
  WeightOrder order;  // not empty: sums of products are to fit 16 bits
};

// Integers of 8, 4 or 2 bits per output channel, and whether a scale was widened: where the bias would not fit int32 in units of
// input scale · scale.
std::pair<Tensor, bool> quantized_weight(const Array& weight, const WeightForm& form, const std::vector<float>& bias, float input_scale) {
  const auto& [axis, bits, order] = form;
  Tensor tensor = codec_of(bits).encode(weight.cast(Type::f32), axis, 0);
  const float most = float((1 << (bits - 1)) - 1);
  int64_t inner = 1;
  for (int i = axis + 1; i < weight.rank(); ++i) inner *= weight.dim(i);
  const std::vector<float> w = weight.to_floats();
  std::vector<size_t> channel(w.size());
  for (size_t i = 0; i < w.size(); ++i) channel[i] = size_t(int64_t(i) / inner % weight.dim(axis));
  auto scales = tensor.parts[1].mutable_values<float>();
  if (bits < 8) fit_scales(w, channel, most, scales);
  bool widened = false;
  for (size_t c = 0; c < scales.size() && c < bias.size() && input_scale > 0; ++c) {
    const float least = std::abs(bias[c]) / (float(1 << 30) * input_scale);
    widened |= scales[c] < least;
    scales[c] = std::max(scales[c], least);
  }
  const bool small_sums = !order.offsets.empty() && !widened;  // a scale that had to grow for the bias stays as it is
  if (!widened && bits == 8 && !small_sums) return {tensor, false};
  const Array values = small_sums ? levels_of_small_sums(w, order, axis, scales, weight.dims()) : levels_of(w, channel, most, scales, weight.dims());
  return {affine_tensor(values.cast(tensor.parts[0].type()), tensor.parts[1], Array(), axis), widened};
}

Tensor quantized_bias(const std::vector<float>& bias, const Array& weight_scale, float input_scale) {
  Array scale(Type::f32, {int64_t(bias.size())});
  auto s = scale.mutable_values<float>();
  for (size_t c = 0; c < bias.size(); ++c) s[c] = input_scale * weight_scale.values<float>()[weight_scale.count() == 1 ? 0 : c];
  return int32_tensor(Array::of<float>(scale.dims(), bias), scale);
}

}  // namespace

int output_axis(const Node& node, int weight_rank) {
  if (node.is("Conv")) return 0;
  if (node.is("ConvTranspose")) return 1;
  return node.is("Gemm") ? int(node.integer("transB", 0) == 0) : weight_rank - 1;
}

LayerQuantizer::LayerQuantizer(Graph& graph) : graph_(graph), readers_(graph.consumers()) {}

void LayerQuantizer::round_bias_behind(size_t n, const Array& weight_scale, float input_scale) {
  const auto& readers = readers_[size_t(graph_.nodes[n].outputs[0])];
  if (readers.size() != 1 || !graph_.nodes[size_t(readers[0])].is("Add")) return;
  for (ValueId id : graph_.nodes[size_t(readers[0])].inputs) {
    const Tensor* bias = graph_.constant(id);
    const bool fits = bias != nullptr && bias->plain() && bias->type == Type::f32 && !bias->dims.empty() && bias->dims.back() == bias->count();
    if (!fits || bias->count() != weight_scale.count() || readers_[size_t(id)].size() != 1 || graph_.is_output(id)) continue;
    std::vector<float> values = bias->decode().to_floats();
    for (size_t c = 0; c < values.size(); ++c) {
      const double unit = input_scale * weight_scale.values<float>()[c];
      values[c] = float(std::nearbyint(values[c] / unit) * unit);
    }
    replace_constant(graph_, id, Tensor(Array::of<float>(bias->dims, values)));
  }
}

bool LayerQuantizer::quantize(size_t n, int bits, const LayerInput& input) {
  const ValueId weight_id = graph_.nodes[n].inputs[1], bias_id = graph_.nodes[n].input(2);
  const int axis = output_axis(graph_.nodes[n], int(graph_.constant(weight_id)->dims.size()));
  const Tensor* bias = graph_.constant(bias_id);
  std::vector<float> b = bias != nullptr && bias->dims.size() == 1 ? bias->decode().to_floats() : std::vector<float>();
  const bool transposed = graph_.nodes[n].is("ConvTranspose");
  const Array exact = graph_.constant(weight_id)->decode();
  // Of layers that share a weight the first one decides.
  const auto shared = done_.find(weight_id);
  const bool wanted = shared != done_.end() ? shared->second.small_sums : input.small_sums;
  const WeightForm form{axis, bits, wanted && bits == 8 && !transposed ? weight_order(exact.dims(), axis) : WeightOrder{}};
  const bool small_sums = !form.order.offsets.empty();
  const auto [weight, widened] = quantized_weight(exact, form, b, input.scale);
  // An int32 bias is in units of this layer's input, so layers could not share it; shared ones stay in float, which runtimes
  // round themselves.
  if (!b.empty() && readers_[size_t(bias_id)].size() == 1) {
    std::vector<double> shift;
    if (!input.means.empty() && !transposed) shift = mean_shift(exact, weight.decode(), axis, input.means);
    const bool corrects = shift.size() == b.size();
    for (size_t c = 0; c < b.size() && corrects; ++c) b[c] -= float(shift[c]);
    if (input.scale > 0)
      graph_.nodes[n].inputs[2] = graph_.add_constant(graph_.at(bias_id).name, quantized_bias(b, weight.parts[1], input.scale));
    else if (corrects)
      graph_.nodes[n].inputs[2] = graph_.add_constant(graph_.at(bias_id).name, Tensor(Array::of<float>(bias->dims, b).cast(bias->type)));
  }
  if (graph_.nodes[n].is("MatMul") && input.scale > 0) round_bias_behind(n, weight.parts[1], input.scale);
  if (!widened && shared != done_.end() && graph_.constant(shared->second.id)->axis == axis && graph_.constant(shared->second.id)->codec == weight.codec) {
    graph_.nodes[n].inputs[1] = shared->second.id;
    return small_sums;
  }
  const ValueId id = graph_.add_constant(graph_.at(weight_id).name, weight);
  graph_.nodes[n].inputs[1] = id;
  if (!widened) done_[weight_id] = {id, small_sums};
  return small_sums && !widened;
}

}  // namespace pare
