// Convolution over lanes: each tap of the kernel is a whole aligned vector of the source (kernels/sparse_float).
#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/threads.h"
#include "engine/sparse/sparse.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

struct FreeAligned {
  void operator()(float* p) const { ::operator delete(p, std::align_val_t(64)); }
};
using AlignedFloats = std::unique_ptr<float, FreeAligned>;

AlignedFloats aligned_zeros(size_t bytes) {
  AlignedFloats floats(static_cast<float*>(::operator new(bytes + 128, std::align_val_t(64))));
  std::memset(floats.get(), 0, bytes + 128);
  return floats;
}

double now_us() { return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The best of a few runs, in microseconds; at most about 20 ms.
double least_time(const std::function<void()>& run) {
  double best = 1e300;
  const double start = now_us();
  for (int round = 0; round < 40; ++round) {
    const double begin = now_us();
    run();
    if (round > 0) best = std::min(best, now_us() - begin);
    if (round >= 3 && now_us() - start > 20e3) break;
  }
  return best;
}

// The convolution alone, its dense form, on memory of its own.
double time_alone(const Planner& planner, const Node& node) {
  Graph graph;
  graph.opsets = planner.graph.opsets;
  const Dims x = planner.dims(node.inputs[0]);
  const ValueId in = graph.add_value("x", Type::f32, shape_of(x)), out = graph.add_value("y", Type::f32, shape_of(planner.dims(node.outputs[0])));
  Node copy = node;
  copy.inputs = {in};
  for (size_t i = 1; i < node.inputs.size(); ++i)
    copy.inputs.push_back(node.inputs[i] == kNone ? kNone : graph.add_constant("c" + std::to_string(i), *planner.graph.constant(node.inputs[i])));
  copy.outputs = {out};
  graph.inputs = {in};
  graph.outputs = {out};
  graph.nodes.push_back(std::move(copy));
  SessionOptions options = planner.options;
  options.taps.clear();
  Planner alone(std::move(graph), options, planner.threads, planner.image_layout);
  alone.build();
  const AlignedFloats arena = aligned_zeros(alone.arena_bytes), input = aligned_zeros(alone.storage(alone.input_slots[0]).bytes());
  std::vector<std::byte*> slots;
  for (size_t i = 0; i < alone.slots.size(); ++i) {
    const auto& slot = alone.slots[i];
    slots.push_back(reinterpret_cast<std::byte*>(arena.get()) + alone.slots[size_t(slot.alias >= 0 ? slot.alias : SlotId(i))].offset + slot.shift);
  }
  slots[size_t(alone.input_slots[0])] = reinterpret_cast<std::byte*>(input.get());
  double sum = 0;
  for (const auto& step : alone.steps) {
    const double us = least_time([&] {
      if (step->team()) run_parallel([&](int thread, int threads) { step->run(slots.data(), thread, threads); });
      else step->run(slots.data(), 0, 1);
    });
    if (step->report.op.starts_with("Conv")) sum += us;
  }
  return sum;
}

class LanesConvStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    const auto* x = reinterpret_cast<const float*>(slots[reads[0]]);
    const auto* residual = reads.size() > 1 ? reinterpret_cast<const float*>(slots[reads[1]]) : nullptr;
    compute(layer, x, residual, reinterpret_cast<float*>(slots[writes]), thread, threads);
  }
  void compute(const SparseLayer& with, const float* x, const float* residual, float* y, int thread, int threads) const {
    const SparseFloatKernel& kernel = best_sparse_float_kernel();
    for (int64_t image = 0; image < batch; ++image) {
      float* to = y + image * outputs * target.channel();
      run_sparse_layer(with, x + image * inputs * source.channel() + source.origin(), residual == nullptr ? nullptr : residual + image * outputs * target.channel() + target.origin(),
                       to + target.origin(), thread, threads, [&](int64_t channel) { kernel.close(target, to + channel * target.channel()); });
    }
  }
  SparseLayer layer;
  SparseLanes source, target;
  int64_t batch = 1, inputs = 1, outputs = 1;
};

// Why the window does not lie in the sub-tiles and their ring; empty where it does.
std::string misfit(const Window& window, const SparseLanes& source, const SparseLanes& target) {
  const int64_t sub_in[] = {source.sub_height(), source.sub_width()}, sub_out[] = {target.sub_height(), target.sub_width()};
  for (size_t i = 0; i < 2; ++i) {
    if (window.stride[i] > 2) return "strides above 2 have no sparse form on maps";
    if (sub_out[i] * window.stride[i] != sub_in[i]) return "the sub-tiles of its input and its result do not match";
    if (window.pad_begin[i] > 1 || (sub_out[i] - 1) * window.stride[i] + (window.kernel[i] - 1) * window.dilation[i] - window.pad_begin[i] > sub_in[i])
      return "its window reaches further than one pixel around";
  }
  return "";
}

struct LanesConv {
  SparseLanes source, target;
  SparseSource weights;
  SparseFloatJob job;
};

LanesConv describe(const Window& window, const Array& weight, const Array& bias, const Dims& x, const Dims& y, const Clipped& clipped) {
  LanesConv conv;
  conv.source = {x[2], x[3]};
  conv.target = {y[2], y[3]};
  conv.weights = {weight.values<float>().data(), bias.empty() ? nullptr : bias.values<float>().data(), y[1], weight.count() / std::max<int64_t>(y[1], 1), {}, window.kernel[0] * window.kernel[1]};
  for (int64_t c = 0; c < x[1]; ++c)
    for (int64_t i = 0; i < window.kernel[0]; ++i)
      for (int64_t j = 0; j < window.kernel[1]; ++j)
        conv.weights.offsets.push_back(int32_t(c * conv.source.channel() + (i * window.dilation[0] - window.pad_begin[0]) * conv.source.row() +
                                               (j * window.dilation[1] - window.pad_begin[1]) * kSparseLanes));
  conv.job.rows = conv.target.sub_height();
  conv.job.columns = conv.target.sub_width();
  conv.job.x_row = window.stride[0] * conv.source.row();
  conv.job.x_step = int(window.stride[1]);
  conv.job.y_row = conv.target.row();
  conv.job.y_channel = conv.target.channel();
  conv.job.low = clipped.low;
  conv.job.high = clipped.high;
  return conv;
}

std::string key_of(const Planner& planner, const Node& node, double zeros, const std::string& text) {
  return "sparse_conv 1 " + std::string(best_sparse_float_kernel().isa) + " " + dims_text(planner.dims(node.inputs[0])) + " w" + dims_text(planner.graph.constant(node.inputs[1])->dims) + " s" +
         dims_text(node.integers("strides")) + " p" + dims_text(node.integers("pads")) + " z" + std::to_string(int(zeros * 100 + 0.5)) + text + " t" + std::to_string(planner.threads);
}

std::string milliseconds(double us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 100 ? "%.4f ms" : "%.3f ms", us / 1e3);
  return text;
}

std::string percent(double share) { return std::to_string(int(share * 100 + 0.5)) + " %"; }

// Takes the layer as it is, on memory of its own.
double time_sparse(Planner& planner, const LanesConvStep& step, const SparseLayer& layer, const float* x, float* y) {
  (void)planner;
  return least_time([&] { run_parallel([&](int thread, int threads) { step.compute(layer, x, nullptr, y, thread, threads); }); });
}

}  // namespace

double time_dense_conv(Planner& planner, const Node& node, const std::string& key) {
  if (const auto known = planner.cache.find(key)) return *known / 1e3;
  const double us = time_alone(planner, node);
  planner.cache.store(key, int(us * 1e3));
  return us;
}

bool lower_sparse_conv(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* tensor = node.is("Conv") ? planner.graph.constant(node.input(1)) : nullptr;
  if (tensor == nullptr || !tensor->plain() || tensor->type != Type::f32 || tensor->dims.size() != 4 || node.integer("group", 1) != 1) return false;
  if ((node.input(2) != kNone && planner.graph.constant(node.inputs[2]) == nullptr) || planner.options.sparse == SparseLayers::never) return false;
  const double zeros = zero_share(*tensor);
  // A first convolution has few products: they may stay although none is with a zero, if that saves a change of layout.
  constexpr double kLeastZeros = 0.2;
  constexpr int64_t kFewInputs = 64;
  const bool sparse = zeros >= kLeastZeros;
  if (!planner.lanes) return sparse ? planner.refuse(percent(zeros) + " of its weights are zero, but the whole is faster dense"), false : false;
  if (!sparse && tensor->count() / tensor->dims[0] > kFewInputs) return false;
  const Dims x = planner.dims(node.inputs[0]), y = planner.dims(node.outputs[0]);
  if (count_of(x) == 0 || count_of(y) == 0 || x[2] < 4 || x[3] < 4) return false;
  const Window window = window_of(node, {x[2], x[3]}, {tensor->dims[2], tensor->dims[3]});
  if (const std::string why = misfit(window, {x[2], x[3]}, {y[2], y[3]}); !why.empty()) return sparse ? planner.refuse(why), false : false;
  if (SparseLanes{x[2], x[3]}.channel() * x[1] > std::numeric_limits<int32_t>::max()) return planner.refuse("its input is too large for 32-bit offsets"), false;

  const Clipped clipped = clip_behind(planner, node.outputs[0], true);
  const Array weight = tensor->decode(), bias = node.input(2) != kNone ? planner.constant(node.inputs[2]).cast(Type::f32) : Array();
  const LanesConv conv = describe(window, weight, bias, x, y, clipped);
  auto step = std::make_unique<LanesConvStep>();
  step->source = conv.source;
  step->target = conv.target;
  step->batch = x[0];
  step->inputs = x[1];
  step->outputs = y[1];
  const Storage in{Type::f32, x, Layout::lanes}, out{Type::f32, y, Layout::lanes};
  const AlignedFloats from = aligned_zeros(in.bytes()), to = aligned_zeros(out.bytes());
  const std::string key = key_of(planner, node, zeros, clipped.text);
  step->layer = tune_sparse_layer(planner, conv.weights, conv.job, key, [&](const SparseLayer& layer) {
    run_parallel([&](int thread, int threads) { step->compute(layer, from.get(), nullptr, to.get(), thread, threads); });
  });
  std::string note;
  if (planner.options.tune && planner.options.sparse == SparseLayers::measured) {
    const std::string form = key + " " + tiling_text(step->layer);
    const double dense_us = time_dense_conv(planner, node, key + " dense ns");
    const auto known = planner.cache.find(form + " sparse ns");
    const double sparse_us = known ? *known / 1e3 : time_sparse(planner, *step, step->layer, from.get(), to.get());
    planner.cache.store(form + " sparse ns", int(sparse_us * 1e3));
    note = "dense " + milliseconds(dense_us) + ", sparse " + milliseconds(sparse_us);
    // Time goes with the products left: at this share of zeros both would take as long.
    const double even = 1 - (1 - zeros) * dense_us / std::max(sparse_us, 1e-3);
    if (even > 0 && sparse) note += ": break-even at " + percent(even) + " zeros";
    if (sparse_us > dense_us && sparse) return planner.refuse(percent(zeros) + " of its weights are zero, but " + note), false;
    if (sparse_us > dense_us) return false;
  }
  const SlotId residual = clipped.residual == kNone ? -1 : planner.slot(clipped.residual, Layout::lanes, Type::f32);
  step->reads = {planner.slot(node.inputs[0], Layout::lanes, Type::f32)};
  if (residual >= 0) step->reads.push_back(residual);
  step->writes = planner.define(clipped.result, out);
  for (int fused : clipped.nodes) planner.done[size_t(fused)] = 1;
  const int64_t macs = weight.count() * y[0] * y[2] * y[3];
  step->report = {node.name, "Conv" + clipped.text, planner.graph.at(clipped.result).name, "sparse f32 " + std::string(best_sparse_float_kernel().isa) + " " + percent(zeros) + " zeros " + tiling_text(step->layer),
                  "f32", note, macs, tensor->size_bytes(), 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
