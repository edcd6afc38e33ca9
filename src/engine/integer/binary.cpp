// Sums and products of two 8-bit values, one of which may be repeated along the image or the channels: gates of
// squeeze-and-excitation and of attention over pixels.
#include "engine/integer/jobs.h"

namespace pare {
namespace {

// How `b` repeats to fill `a`; false if it does so along other axes than the kernel knows.
bool set_broadcast(const Dims& a, const Dims& b, BroadcastInt8& job) {
  if (a == b) {
    const bool image = a.size() == 4;
    job.batch = image ? int(a[0]) : 1;
    job.channels = image ? int(a[1]) : int(a.empty() ? 1 : a.back());
    job.pixels = image ? int(a[2] * a[3]) : int(count_of(a) / std::max<int64_t>(job.channels, 1));
    job.b_pixel = job.channels;
    job.b_batch = int64_t(job.pixels) * job.channels;
    return true;
  }
  if (a.size() != 4 || b.size() != 4) return false;
  const bool per_image = b[0] == a[0], per_channel = b[1] == a[1], per_pixel = b[2] == a[2] && b[3] == a[3];
  if ((!per_image && b[0] != 1) || (!per_channel && b[1] != 1) || (!per_pixel && (b[2] != 1 || b[3] != 1))) return false;
  job.batch = int(a[0]);
  job.channels = int(a[1]);
  job.pixels = int(a[2] * a[3]);
  job.b_channel = per_channel;
  job.b_pixel = per_pixel ? b[1] : 0;
  job.b_batch = per_image ? b[1] * b[2] * b[3] : 0;
  return true;
}

}  // namespace

bool lower_integer_binary(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const bool multiply = node.is("Mul");
  if ((!multiply && !node.is("Add")) || node.inputs[0] == node.inputs[1]) return false;
  ValueId first = node.inputs[0], second = node.inputs[1];
  const Dims out = planner.dims(node.outputs[0]);
  if (planner.graph.constant(first) != nullptr || planner.graph.constant(second) != nullptr || count_of(out) == 0) return false;
  if (planner.dims(first) != out) std::swap(first, second);
  const auto a = planner.dequantized(first), b = planner.dequantized(second);
  if (!a || !b || !planner.existing(a->value) || !planner.existing(b->value) || planner.dims(first) != out) return false;
  BroadcastInt8 job;
  if (!set_broadcast(out, planner.dims(second), job)) return planner.refuse("its operands repeat along axes that have no int8 form"), false;
  const IntegerChain chain = integer_chain(planner, node.outputs[0], false);
  if (!chain.out || chain.mid || chain.residual) return planner.refuse("its result is not quantized"), false;
  job.multiply = multiply;
  job.a_type = type_of(*a);
  job.b_type = type_of(*b);
  job.a_type.scale = float(multiply ? double(a->scale) * b->scale / chain.out->scale : double(a->scale) / chain.out->scale);
  job.b_type.scale = float(double(b->scale) / chain.out->scale);
  const IntegerLimits limits = limits_of(*chain.out, chain.low, chain.high);
  job.output_signed = chain.out->type == Type::i8;
  job.out_zero = chain.out->zero;
  job.out_lo = limits.low;
  job.out_hi = limits.high;
  const std::vector<SlotId> reads{planner.slot(a->value, Layout::channels_last, a->type), planner.slot(b->value, Layout::channels_last, b->type)};
  const SlotId target = planner.define(chain.result, {chain.out->type, out, Layout::channels_last});
  for (int k : chain.nodes) planner.done[size_t(k)] = 1;
  emit_job(planner, job, elementwise_kernel(planner).broadcast, bind_two<BroadcastInt8>, reads, target, node, node.op_type + chain.text, planner.graph.at(chain.result).name);
  return true;
}

}  // namespace pare
