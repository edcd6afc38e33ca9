#include <algorithm>

#include "base/threads.h"
#include "engine/integer/conv.h"
#include "graph/ops/ops.h"
#include "kernels/depthwise_int8/depthwise_int8.h"

namespace pare {
namespace {

// A linear layer whose input's scale and zero point come with the input: it takes another step's place, which it runs.
class DynamicStep : public Step {
 public:
  void run(std::byte* const* slots, int, int) override {
    const float x_scale = *reinterpret_cast<const float*>(slots[scale]);
    const int32_t x_zero = *reinterpret_cast<const uint8_t*>(slots[zero]);
    for (size_t c = 0; c < sums.size(); ++c) {
      layer->multipliers[c] = units[c] * x_scale;
      layer->bias_of(c) = -x_zero * sums[c];
    }
    run_parallel([&](int thread, int threads) { layer->run(slots, thread, threads); });
  }
  std::unique_ptr<ConvLikeStep> layer;
  SlotId scale = -1, zero = -1;
  std::vector<float> units;    // multipliers for a scale of 1
  std::vector<int32_t> sums;   // of each output's weights
};

class DepthwiseStep : public IntegerStep {
 public:
  void run(std::byte* const* slots, int thread, int threads) override {
    kernel->run(packed, arguments<DepthwiseInt8Args>(slots, thread), thread, threads);
  }
  const DepthwiseInt8Kernel* kernel = nullptr;
  PackedDepthwiseInt8 packed;
};

// The fields that the kernels' shapes share: image, kernel, strides, dilations, padding.
template <class Shape>
void set_window(Shape& shape, const Dims& x, const Window& window) {
  shape.in_h = int(x[2]);
  shape.in_w = int(x[3]);
  shape.kernel_h = int(window.kernel[0]);
  shape.kernel_w = int(window.kernel[1]);
  shape.stride_h = int(window.stride[0]);
  shape.stride_w = int(window.stride[1]);
  shape.dilation_h = int(window.dilation[0]);
  shape.dilation_w = int(window.dilation[1]);
  shape.pad_top = int(window.pad_begin[0]);
  shape.pad_left = int(window.pad_begin[1]);
  shape.pad_bottom = int(window.pad_end[0]);
  shape.pad_right = int(window.pad_end[1]);
}

struct Source {
  Planner::Quantized q;
  SlotId slot = -1;
};

std::optional<Source> integer_source(Planner& planner, ValueId x) {
  const auto q = planner.dequantized(x);
  if (!q || !planner.existing(q->value)) return std::nullopt;
  return Source{*q, planner.slot(q->value, Layout::channels_last, q->type)};
}

// Slots, epilogue and report of a layer whose kernel is set up; marks the chain's nodes done.
void finish(Planner& planner, ConvLayer layer, const Node& node, const Source& source, const IntegerChain& chain, IntegerWeights& weights) {
  std::unique_ptr<IntegerStep> step = std::move(layer.step);
  step->source = source.slot;
  step->reads = {source.slot};
  if (chain.residual) {
    step->residual = planner.slot(chain.residual->value, Layout::channels_last, chain.residual->type);
    step->reads.push_back(step->residual);
  }
  step->multipliers = weights.scales;
  step->epilogue = epilogue_of(chain, step->multipliers);
  step->epilogue.most_sum = largest_sum(weights);
  step->table = chain.table;
  step->scratch.resize(planner.threads, layer.scratch_bytes);
  const Dims dims = planner.dims(chain.result);
  // A residual is read at the output's place, so it must have its form.
  const auto place = chain.type != Type::f32 && dims.size() == 4 && !chain.residual ? place_in_concat(planner, chain.result) : std::nullopt;
  step->writes = place ? place->memory : planner.define(chain.result, {chain.type, dims, Layout::channels_last});
  if (place) step->epilogue.pitch = place->pitch, step->offset = place->offset;
  const int64_t outputs = int64_t(weights.scales.size()), per_output = weights.weights.count() / std::max<int64_t>(outputs, 1);
  step->report = {node.name, node.op_type + chain.text, planner.graph.at(chain.result).name, layer.implementation, "int8", layer.note,
                  count_of(dims) * per_output, planner.graph.constant(node.inputs[1])->size_bytes(), 0};
  for (int n : chain.nodes) planner.done[size_t(n)] = 1;
  planner.emit(std::move(step));
}

// The tiling that is fastest for this layer on this CPU.
PackedConvInt8 tuned(Planner& planner, const ConvInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& given, const IntegerChain& chain,
                     const IntegerWeights& weights) {
  const std::vector<ConvInt8Tiling> tilings = conv_int8_tilings(kernel, shape);
  if (!planner.options.tune || tilings.size() < 2) return pack_conv_int8(kernel, shape, given);
  const std::string key = conv_key(kernel.name, shape, chain, planner.threads);
  if (const auto known = planner.cache.find(key); known && *known < int(tilings.size())) return pack_conv_int8(kernel, shape, given, tilings[size_t(*known)]);
  std::vector<PackedConvInt8> packed;
  size_t scratch_bytes = 0;
  for (const ConvInt8Tiling& tiling : tilings) {
    packed.push_back(pack_conv_int8(kernel, shape, given, tiling));
    scratch_bytes = std::max(scratch_bytes, packed.back().scratch_bytes);
  }
  ConvTrial trial(planner, shape, chain, weights, scratch_bytes);
  const int choice = fastest_of(int(tilings.size()), [&](int i) { trial.run(kernel, packed[size_t(i)]); });
  planner.cache.store(key, choice);
  return std::move(packed[size_t(choice)]);
}

ConvInt8Weights given_weights(const IntegerWeights& weights, const Source& source) {
  return {weights.weights.values<int8_t>().data(), weights.bias.data(), source.q.type == Type::i8, source.q.zero};
}

std::string described(const ConvStep& step) {
  return std::string("int8 ") + step.kernel->isa + " " + std::to_string(step.packed.tiling.pixels) + "x" + std::to_string(step.packed.tiling.vectors);
}

ConvLayer choose_conv(Planner& planner, const ConvInt8Shape& shape, const IntegerWeights& weights, const Source& source, const IntegerChain& chain) {
  auto step = std::make_unique<ConvStep>();
  step->kernel = &choose_kernel(conv_int8_kernels(), planner.options.kernels);
  step->packed = tuned(planner, *step->kernel, shape, given_weights(weights, source), chain, weights);
  const std::string name = described(*step);
  const size_t scratch_bytes = step->packed.scratch_bytes;
  const ConvInt8Weights given = given_weights(weights, source);
  ConvLayer dense = winograd_where_faster(planner, shape, given, weights, chain, {std::move(step), name, "", scratch_bytes});
  return sparse_where_faster(planner, shape, given, weights, chain, std::move(dense));
}

}  // namespace

float largest_sum(const IntegerWeights& weights) {
  const auto values = weights.weights.values<int8_t>();
  const size_t inputs = values.size() / std::max<size_t>(weights.bias.size(), 1);
  double most = 1;
  for (size_t c = 0; c < weights.bias.size(); ++c) {
    int64_t sum = 0;
    for (size_t i = 0; i < inputs; ++i) sum += std::abs(int(values[c * inputs + i]));
    most = std::max(most, 255.0 * double(sum) + std::abs(double(weights.bias[c])));  // an input is 255 away from its zero point at most
  }
  return float(std::min(most * 1.000001, 2147483648.0));
}

ConvTrial::ConvTrial(const Planner& planner, const ConvInt8Shape& shape, const IntegerChain& chain, const IntegerWeights& weights, size_t scratch_bytes)
    : multipliers_(weights.scales) {
  const size_t in = size_t(shape.batch) * size_t(shape.in_h) * size_t(shape.in_w) * size_t(shape.in_c);
  const size_t out = size_t(shape.batch) * size_t(shape.out_h()) * size_t(shape.out_w()) * size_t(shape.out_c);
  input_.resize(in / 64 + 2), output_.resize(out * 4 / 64 + 2), residual_.resize(out / 64 + 2);
  scratch_.resize(planner.threads, scratch_bytes);
  args_.input = input_.data();
  args_.output = output_.data();
  args_.epilogue = epilogue_of(chain, multipliers_);
  args_.epilogue.multiplier = multipliers_.data();
  args_.epilogue.most_sum = largest_sum(weights);
  args_.epilogue.residual = chain.residual ? residual_.data() : nullptr;
}

std::string conv_key(const char* kernel, const ConvInt8Shape& s, const IntegerChain& chain, int threads) {
  std::string key = std::string("int8 layer ") + kernel;
  for (int v : {s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.groups, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w, s.pad_top, s.pad_left, s.pad_bottom, s.pad_right, threads})
    key += " " + std::to_string(v);
  return key + (chain.residual ? "+r" : "") + (chain.mid ? "+m" : "") + (chain.out ? "" : "+f") + (chain.first.kind || chain.last.kind ? "+a" : "");
}

bool lower_integer_conv(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Conv") || planner.dims(node.inputs[0]).size() != 4) return false;
  const auto source = integer_source(planner, node.inputs[0]);
  if (!source) return false;
  const Dims x = planner.dims(node.inputs[0]);
  const int64_t groups = node.integer("group", 1);
  auto weights = integer_weights(planner, node, 0, source->q.scale, node.input(2));
  if (!weights) return false;
  const Dims& w = weights->weights.dims();
  if (groups == x[1] && w[0] == x[1] && groups > 1) return false;  // depthwise has a form of its own
  const Window window = window_of(node, {x[2], x[3]}, {w[2], w[3]});
  ConvInt8Shape shape;
  shape.batch = int(x[0]);
  shape.in_c = int(x[1]);
  shape.out_c = int(w[0]);
  shape.groups = int(groups);
  set_window(shape, x, window);
  const IntegerChain chain = integer_chain(planner, node.outputs[0]);
  finish(planner, choose_conv(planner, shape, *weights, *source, chain), node, *source, chain, *weights);
  return true;
}

bool lower_integer_depthwise(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Conv") || planner.dims(node.inputs[0]).size() != 4) return false;
  const auto source = integer_source(planner, node.inputs[0]);
  if (!source) return false;
  const Dims x = planner.dims(node.inputs[0]);
  auto weights = integer_weights(planner, node, 0, source->q.scale, node.input(2));
  if (!weights || node.integer("group", 1) != x[1] || weights->weights.dim(0) != x[1]) return false;
  const Dims& w = weights->weights.dims();
  const Window window = window_of(node, {x[2], x[3]}, {w[2], w[3]});
  DepthwiseInt8Shape shape;
  shape.batch = int(x[0]);
  shape.channels = int(x[1]);
  set_window(shape, x, window);
  const IntegerChain chain = integer_chain(planner, node.outputs[0]);
  auto step = std::make_unique<DepthwiseStep>();
  step->kernel = &choose_kernel(depthwise_int8_kernels(), planner.options.kernels);
  step->packed = step->kernel->pack(shape, {weights->weights.values<int8_t>().data(), weights->bias.data(), source->q.type == Type::i8, source->q.zero});
  const std::string name = std::string("int8 depthwise ") + step->kernel->isa;
  const size_t scratch = step->packed.scratch_bytes;
  finish(planner, {std::move(step), name, "", scratch}, node, *source, chain, *weights);
  return true;
}

namespace {

ValueId bias_of(const Planner& planner, int sum) {
  const Node& node = planner.graph.nodes[size_t(sum)];
  return planner.graph.constant(node.inputs[0]) != nullptr ? node.inputs[0] : node.inputs[1];
}

// [inputs, outputs] as [outputs, inputs], which is what the kernels want.
Array turned(const Array& weights) {
  const int64_t in = weights.dim(0), out = weights.dim(1);
  Array result(Type::i8, {out, in});
  auto to = result.mutable_values<int8_t>();
  const auto from = weights.values<int8_t>();
  for (int64_t i = 0; i < in; ++i)
    for (int64_t o = 0; o < out; ++o) to[size_t(o * in + i)] = from[size_t(i * out + o)];
  return result;
}

// The Add of a constant per output that alone reads a product of matrices; -1: there is none.
int bias_behind(const Planner& planner, ValueId product, int64_t outputs) {
  const int next = planner.only_consumer(product);
  if (next < 0 || !planner.graph.nodes[size_t(next)].is("Add")) return -1;
  const Tensor* bias = planner.graph.constant(bias_of(planner, next));
  return bias != nullptr && is_float(bias->type) && bias->count() == outputs && !bias->dims.empty() && bias->dims.back() == outputs ? next : -1;
}

}  // namespace

bool lower_integer_linear(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const bool gemm = node.is("Gemm");
  if (!gemm && !node.is("MatMul")) return false;
  if (gemm && (node.integer("transA", 0) != 0 || node.real("alpha", 1) != 1 || node.real("beta", 1) != 1)) return false;
  const Tensor* weight = planner.graph.constant(node.input(1));
  const auto source = weight != nullptr && weight->dims.size() == 2 ? integer_source(planner, node.inputs[0]) : std::nullopt;
  if (!source || planner.dims(node.inputs[0]).size() == 4) return false;
  const bool transposed = gemm && node.integer("transB", 0) != 0;
  const int sum = gemm ? -1 : bias_behind(planner, node.outputs[0], weight->dims[1]);
  auto weights = integer_weights(planner, node, transposed ? 0 : 1, source->q.scale, sum < 0 ? node.input(2) : bias_of(planner, sum));
  if (!weights) return false;
  const Dims x = planner.dims(node.inputs[0]);
  ConvInt8Shape shape;
  shape.in_c = int(x.back());
  shape.batch = int(count_of(x) / std::max<int64_t>(x.back(), 1));
  shape.out_c = int(weight->dims[transposed ? 0 : 1]);
  if (!transposed) weights->weights = turned(weights->weights);
  IntegerChain chain = integer_chain(planner, sum < 0 ? node.outputs[0] : planner.graph.nodes[size_t(sum)].outputs[0]);
  if (sum >= 0) {
    chain.nodes.push_back(sum);
    chain.text = "+Add" + chain.text;
  }
  finish(planner, choose_conv(planner, shape, *weights, *source, chain), node, *source, chain, *weights);
  return true;
}

bool is_dynamic_linear(const Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* weight = planner.graph.constant(node.input(1));
  return node.is("MatMul") && weight != nullptr && weight->dims.size() == 2 && !weight->plain() && weight->parts[0].type() == Type::i8 && weight->group == 0 &&
         weight->parts.size() == 2 && (weight->parts[1].count() == 1 || (weight->axis == 1 && weight->parts[1].count() == weight->dims[1])) && planner.dims(node.inputs[0]).size() != 4;
}

// The bias behind it stays a sum of floats: in units of a scale known at run time it might not fit 32 bits.
bool lower_dynamic_linear(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (node.inputs.size() != 2) return false;
  const auto dynamic = dynamic_source(planner, node.inputs[0]);
  if (!dynamic || !is_dynamic_linear(planner, n) || !planner.existing(dynamic->value)) return false;
  auto weights = integer_weights(planner, node, 1, 1, kNone);
  if (!weights) return false;
  weights->weights = turned(weights->weights);
  const Dims x = planner.dims(node.inputs[0]);
  ConvInt8Shape shape;
  shape.out_c = int(weights->weights.dim(0));
  shape.in_c = int(weights->weights.dim(1));
  shape.batch = int(count_of(x) / std::max<int64_t>(x.back(), 1));
  const Source source{{dynamic->value, 1, 0, Type::u8}, planner.slot(dynamic->value, Layout::plain, Type::u8)};
  const IntegerChain chain = integer_chain(planner, node.outputs[0]);
  const SlotId scale = planner.slot(dynamic->scale, Layout::plain, Type::f32), zero = planner.slot(dynamic->zero, Layout::plain, Type::u8);
  ConvLayer layer = choose_conv(planner, shape, *weights, source, chain);
  layer.implementation += ", scale at run time";
  finish(planner, std::move(layer), node, source, chain, *weights);
  auto step = std::make_unique<DynamicStep>();
  step->layer.reset(static_cast<ConvLikeStep*>(planner.steps.back().release()));
  step->report = step->layer->report;
  step->writes = step->layer->writes;
  step->units = step->layer->multipliers;
  step->scale = scale;
  step->zero = zero;
  step->reads = step->layer->reads;
  step->reads.insert(step->reads.end(), {step->scale, step->zero});
  const auto values = weights->weights.values<int8_t>();
  step->sums.assign(size_t(shape.out_c), 0);
  for (size_t i = 0; i < values.size(); ++i) step->sums[i / size_t(shape.in_c)] += values[i];
  planner.steps.back() = std::move(step);
  return true;
}

}  // namespace pare
