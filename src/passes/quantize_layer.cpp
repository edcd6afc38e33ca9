// Weights and biases of one layer as integers.
#include <algorithm>
#include <cmath>

#include "codecs/codecs.h"
#include "passes/quantize_plan.h"
#include "passes/weights.h"

namespace pare {
namespace {

// int8 per output channel, and whether a scale was widened: where the bias would not fit int32 in units of input scale · scale.
std::pair<Tensor, bool> quantized_weight(const Array& weight, int axis, const std::vector<float>& bias, float input_scale) {
  Tensor tensor = codec_int8.encode(weight.cast(Type::f32), axis, 0);
  if (bias.empty() || input_scale <= 0) return {tensor, false};
  auto scales = tensor.parts[1].mutable_values<float>();
  bool widened = false;
  for (size_t c = 0; c < scales.size() && c < bias.size(); ++c) {
    const float least = std::abs(bias[c]) / (float(1 << 30) * input_scale);
    widened |= scales[c] < least;
    scales[c] = std::max(scales[c], least);
  }
  if (!widened) return {tensor, false};
  const Array scale = tensor.parts[1];
  Array values(Type::i32, weight.dims());
  const std::vector<float> w = weight.to_floats();
  auto q = values.mutable_values<int32_t>();
  int64_t inner = 1;
  for (int i = axis + 1; i < weight.rank(); ++i) inner *= weight.dim(i);
  for (size_t i = 0; i < w.size(); ++i) {
    const auto c = size_t(int64_t(i) / inner % weight.dim(axis));
    q[i] = int32_t(std::clamp(std::nearbyint(w[i] / scale.values<float>()[c]), -127.f, 127.f));
  }
  return {affine_tensor(values.cast(Type::i8), scale, Array(), axis), true};
}

Tensor quantized_bias(const std::vector<float>& bias, const Array& weight_scale, float input_scale) {
  Array scale(Type::f32, {int64_t(bias.size())}), values(Type::i32, {int64_t(bias.size())});
  auto s = scale.mutable_values<float>();
  auto q = values.mutable_values<int32_t>();
  for (size_t c = 0; c < bias.size(); ++c) {
    s[c] = input_scale * weight_scale.values<float>()[weight_scale.count() == 1 ? 0 : c];
    q[c] = int32_t(std::clamp(std::nearbyint(double(bias[c]) / s[c]), -2147483647.0, 2147483647.0));
  }
  return affine_tensor(values, scale, Array(), 0);
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

void LayerQuantizer::quantize(size_t n, float input_scale) {
  const ValueId weight_id = graph_.nodes[n].inputs[1], bias_id = graph_.nodes[n].input(2);
  const int axis = output_axis(graph_.nodes[n], int(graph_.constant(weight_id)->dims.size()));
  const Tensor* bias = graph_.constant(bias_id);
  const std::vector<float> b = bias != nullptr && bias->dims.size() == 1 ? bias->decode().to_floats() : std::vector<float>();
  const auto [weight, widened] = quantized_weight(graph_.constant(weight_id)->decode(), axis, b, input_scale);
  // An int32 bias is in units of this layer's input, so layers could not share it; shared ones stay in float, which runtimes
  // round themselves.
  if (!b.empty() && input_scale > 0 && readers_[size_t(bias_id)].size() == 1)
    graph_.nodes[n].inputs[2] = graph_.add_constant(graph_.at(bias_id).name, quantized_bias(b, weight.parts[1], input_scale));
  if (graph_.nodes[n].is("MatMul") && input_scale > 0) round_bias_behind(n, weight.parts[1], input_scale);
  const auto shared = done_.find(weight_id);
  if (!widened && shared != done_.end() && graph_.constant(shared->second)->axis == axis) {
    graph_.nodes[n].inputs[1] = shared->second;
    return;
  }
  const ValueId id = graph_.add_constant(graph_.at(weight_id).name, weight);
  graph_.nodes[n].inputs[1] = id;
  if (!widened) done_[weight_id] = id;
}

}  // namespace pare
