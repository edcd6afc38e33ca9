#include <algorithm>
#include <cmath>

#include "engine/integer/jobs.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

AddInt8 sum_job(const Planner::Quantized& a, const Planner::Quantized* b, const Planner::Quantized& out, int64_t count, float low, float high) {
  AddInt8 job;
  job.count = size_t(count);
  job.a_type = type_of(a);
  job.a_type.scale = float(double(a.scale) / out.scale);
  if (b != nullptr) {
    job.b_type = type_of(*b);
    job.b_type.scale = float(double(b->scale) / out.scale);
  }
  const IntegerLimits limits = limits_of(out, low, high);
  job.output_signed = out.type == Type::i8;
  job.out_zero = out.zero;
  job.out_lo = limits.low;
  job.out_hi = limits.high;
  return job;
}

// Batch, channels, height, width. What is no image lies row major on both sides: one channel.
struct Extents {
  int batch = 1, channels = 1, height = 1, width = 1;
};
Extents extents_of(const Dims& dims) {
  if (dims.size() == 4) return {int(dims[0]), int(dims[1]), int(dims[2]), int(dims[3])};
  return {1, 1, 1, int(count_of(dims))};
}

}  // namespace

namespace {

// A mean over one window that is the whole image is the global mean.
bool covers_image(const Node& node, const Dims& x) {
  const Window window = window_of(node, {x[2], x[3]});
  return window.out == Dims{1, 1} && window.kernel == Dims{x[2], x[3]} && window.pad_begin == Dims{0, 0} && window.pad_end == Dims{0, 0};
}

// A maximum keeps scale and zero point; where the result has others, a second job follows.
void lower_max_pool(Planner& planner, const Node& node, PoolInt8 job, SlotId source, const Planner::Quantized& in, const IntegerChain& chain) {
  const std::string name = planner.graph.at(chain.result).name;
  const Storage storage{in.type, planner.dims(node.outputs[0]), Layout::channels_last};
  const bool same = in.scale == chain.out->scale && in.zero == chain.out->zero && in.type == chain.out->type && in.least >= chain.out->least && in.most <= chain.out->most;
  const SlotId pooled = same ? planner.define(chain.result, storage) : planner.scratch(storage);
  emit_job(planner, job, elementwise_kernel(planner).pool, bind_one<PoolInt8>, {source}, pooled, node, node.op_type + chain.text, name);
  if (same) return;
  const SlotId target = planner.define(chain.result, {chain.out->type, storage.dims, Layout::channels_last});
  emit_job(planner, sum_job(in, nullptr, *chain.out, count_of(storage.dims), chain.low, chain.high), elementwise_kernel(planner).add, bind_two<AddInt8>, {pooled}, target, node, "Requantize", name);
}

void lower_global_average(Planner& planner, const Node& node, SlotId source, const Planner::Quantized& in, const IntegerChain& chain) {
  const Dims x = planner.dims(node.inputs[0]);
  GlobalPoolInt8 job;
  job.batch = int(x[0]);
  job.channels = int(x[1]);
  job.pixels = int(x[2] * x[3]);
  job.input_signed = in.type == Type::i8;
  job.input_zero = in.zero;
  job.multiplier = float(double(in.scale) / job.pixels / (chain.out ? chain.out->scale : 1));
  job.output_float = !chain.out;
  if (chain.out) {
    const IntegerLimits limits = limits_of(*chain.out, chain.low, chain.high);
    job.output_signed = chain.out->type == Type::i8;
    job.out_zero = chain.out->zero;
    job.out_lo = limits.low;
    job.out_hi = limits.high;
  }
  // One pixel a channel: every layout is the same, and plain saves those behind a conversion.
  const SlotId target = planner.define(chain.result, {chain.out ? chain.out->type : Type::f32, planner.dims(chain.result), chain.out ? Layout::channels_last : Layout::plain});
  emit_job(planner, job, elementwise_kernel(planner).global_pool, bind_one<GlobalPoolInt8>, {source}, target, node, node.op_type + chain.text, planner.graph.at(chain.result).name);
}

}  // namespace

bool lower_integer_pool(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const bool maximum = node.is("MaxPool"), average = node.is("AveragePool");
  if (!(maximum || average || node.is("GlobalAveragePool")) || node.outputs.size() > 1) return false;
  const auto in = planner.dequantized(node.inputs[0]);
  const Dims x = planner.dims(node.inputs[0]);
  const bool global = node.is("GlobalAveragePool") || (average && x.size() == 4 && covers_image(node, x));
  if (!in || !planner.existing(in->value) || x.size() != 4) return false;
  const IntegerChain chain = integer_chain(planner, node.outputs[0], false);
  if (chain.mid || chain.residual) return planner.refuse("a residual sum follows the pool"), false;
  const bool limited = std::isfinite(chain.low) || std::isfinite(chain.high);
  if (!chain.out && (!global || limited)) return planner.refuse("its result is not quantized"), false;
  Window window;
  if (!global) {
    window = window_of(node, {x[2], x[3]});
    if (window.dilation[0] != 1 || window.dilation[1] != 1 || node.integer("ceil_mode", 0) != 0) return planner.refuse("dilated or ceil_mode pooling has no int8 form"), false;
  }
  const SlotId source = planner.slot(in->value, Layout::channels_last, in->type);
  for (int k : chain.nodes) planner.done[size_t(k)] = 1;
  if (global) return lower_global_average(planner, node, source, *in, chain), true;
  PoolInt8 job;
  job.batch = int(x[0]);
  job.channels = int(x[1]);
  job.in_h = int(x[2]);
  job.in_w = int(x[3]);
  job.out_h = int(window.out[0]);
  job.out_w = int(window.out[1]);
  job.kernel_h = int(window.kernel[0]);
  job.kernel_w = int(window.kernel[1]);
  job.stride_h = int(window.stride[0]);
  job.stride_w = int(window.stride[1]);
  job.pad_top = int(window.pad_begin[0]);
  job.pad_left = int(window.pad_begin[1]);
  job.pad_bottom = int(window.pad_end[0]);
  job.pad_right = int(window.pad_end[1]);
  job.is_signed = in->type == Type::i8;
  if (maximum) return lower_max_pool(planner, node, job, source, *in, chain), true;
  const IntegerLimits limits = limits_of(*chain.out, chain.low, chain.high);
  job.average = true;
  job.count_include_pad = node.integer("count_include_pad", 0) != 0;
  job.input_zero = in->zero;
  job.multiplier = float(double(in->scale) / chain.out->scale);
  job.output_signed = chain.out->type == Type::i8;
  job.out_zero = chain.out->zero;
  job.out_lo = limits.low;
  job.out_hi = limits.high;
  const SlotId target = planner.define(chain.result, {chain.out->type, planner.dims(chain.result), Layout::channels_last});
  emit_job(planner, job, elementwise_kernel(planner).pool, bind_one<PoolInt8>, {source}, target, node, node.op_type + chain.text, planner.graph.at(chain.result).name);
  return true;
}

bool lower_integer_quantize(Planner& planner, int n) {
  const auto q = planner.quantized_by(n);
  const Node& node = planner.graph.nodes[size_t(n)];
  const ValueId x = node.inputs[0];
  if (!q || planner.graph.at(x).type != Type::f32 || planner.graph.constant(x) != nullptr) return false;
  const Dims dims = planner.dims(x);
  const auto have = planner.existing(x);
  const bool last = have && planner.storage(*have).layout == Layout::channels_last && planner.storage(*have).type == Type::f32;
  const SlotId source = planner.slot(x, last ? Layout::channels_last : Layout::plain, Type::f32);
  const Extents e = extents_of(dims);
  QuantizeInt8 job;
  job.batch = e.batch;
  job.channels = e.channels;
  job.height = e.height;
  job.width = e.width;
  job.input_nchw = !last;
  job.type = type_of(*q);
  const SlotId target = planner.define(q->value, {q->type, dims, Layout::channels_last});
  emit_job(planner, job, elementwise_kernel(planner).quantize, bind_one<QuantizeInt8>, {source}, target, node, "Quantize", planner.graph.at(q->value).name);
  return true;
}

// Most dequantizations vanish into the integer layers that read them: nothing is done until somebody asks for floats.
bool lower_deferred_dequantize(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("DequantizeLinear")) return false;
  const auto q = planner.dequantized(node.outputs[0]);
  return q && planner.existing(q->value).has_value();
}

void emit_dequantize(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const auto q = planner.dequantized(node.outputs[0]);
  PARE_CHECK(q.has_value());
  const Dims dims = planner.dims(node.outputs[0]);
  const SlotId source = planner.slot(q->value, Layout::channels_last, q->type);
  const Extents e = extents_of(dims);
  DequantizeInt8 job;
  job.batch = e.batch;
  job.channels = e.channels;
  job.height = e.height;
  job.width = e.width;
  job.output_nchw = true;
  job.type = type_of(*q);
  const SlotId target = planner.define(node.outputs[0], {Type::f32, dims, Layout::plain});
  emit_job(planner, job, elementwise_kernel(planner).dequantize, bind_one<DequantizeInt8>, {source}, target, node, "Dequantize", planner.graph.at(node.outputs[0]).name);
}

}  // namespace pare
