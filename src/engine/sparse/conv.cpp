// Convolution over lanes: each tap of the kernel is a whole aligned vector of the source (kernels/sparse_float).
#include <algorithm>

#include "base/threads.h"
#include "engine/sparse/sparse.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

class LanesConvStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    auto* x = reinterpret_cast<float*>(slots[reads[0]]);
    const auto* residual = reads.size() > 1 ? reinterpret_cast<const float*>(slots[reads[1]]) : nullptr;
    compute(layer, x, residual, reinterpret_cast<float*>(slots[writes]), thread, threads);
  }
  // Threads share the bands, or the outputs of a map that is not cut. Of x only rings are written.
  void compute(const SparseLayer& with, float* x, const float* residual, float* y, int thread, int threads) const {
    const SparseFloatKernel& kernel = best_sparse_float_kernel();
    const int64_t bands = target.bands, first = bands > 1 ? bands * thread / threads : 0, last = bands > 1 ? bands * (thread + 1) / threads : 1;
    for (int64_t image = 0; image < batch; ++image)
      for (int64_t band = first; band < last; ++band) {
        float *from = x + band_at(source, inputs, pitch, image, band),
              *to = y + band_at(target, outputs, pitch, image, band);
        const float* sum =
            residual == nullptr ? nullptr : residual + band_at(added, outputs, pitch, image, band) + added.origin();
        if (joins) kernel.join(source, band, inputs, from, *pitch);
        // Without a ring nobody looks beside a pixel but a mean, which clears these places itself.
        const Done close = [&](auto groups, int height) { kernel.close(target, band, outputs, to, groups, height); };
        run_sparse_layer(with, from + source.origin(), sum, to + target.origin(), bands > 1 ? 0 : thread,
                         bands > 1 ? 1 : threads, target.ring > 0 ? close : Done());
      }
  }
  SparseLayer layer;
  SparseLanes source, target, added;  // added: the residual
  const int64_t* pitch = nullptr;     // Storage::band_pitch
  bool joins = false;                 // reads what lies in other bands
  int64_t batch = 1, inputs = 1, outputs = 1;
};

struct LanesConv {
  SparseSource weights;
  SparseFloatJob job;
};

LanesConv describe(const Window& window, const Array& weight, const Array& bias, const LanesConvStep& step, const Clipped& clipped) {
  LanesConv conv;
  conv.weights = {weight.values<float>().data(), bias.empty() ? nullptr : bias.values<float>().data(), step.outputs, weight.count() / std::max<int64_t>(step.outputs, 1), {}, window.kernel[0] * window.kernel[1]};
  for (int64_t c = 0; c < step.inputs; ++c)
    for (int64_t i = 0; i < window.kernel[0]; ++i)
      for (int64_t j = 0; j < window.kernel[1]; ++j)
        conv.weights.offsets.push_back(int32_t(c * step.source.channel() + (i * window.dilation[0] - window.pad_begin[0]) * step.source.row() +
                                               (j * window.dilation[1] - window.pad_begin[1]) * kSparseLanes));
  conv.job.rows = step.target.sub_height();
  conv.job.columns = step.target.sub_width();
  conv.job.x_row = window.stride[0] * step.source.row();
  conv.job.x_step = int(window.stride[1]);
  conv.job.y_row = step.target.row();
  conv.job.y_channel = step.target.channel();
  conv.job.residual_row = step.added.row();
  conv.job.residual_channel = step.added.channel();
  conv.job.low = clipped.low;
  conv.job.high = clipped.high;
  return conv;
}

std::string key_of(const Planner& planner, const Node& node, double zeros, const std::string& text, const SparseLanes& source, const SparseLanes& target) {
  return "sparse_conv 5 " + std::string(best_sparse_float_kernel().isa) + " " +
         dims_text(planner.dims(node.inputs[0])) + " w" + dims_text(planner.graph.constant(node.inputs[1])->dims) +
         " s" + dims_text(node.integers("strides")) + " p" + dims_text(node.integers("pads")) + " d" +
         dims_text(node.integers("dilations")) + " z" + std::to_string(int(zeros * 100 + 0.5)) + text + " r" +
         std::to_string(source.ring) + std::to_string(target.ring) + " b" + std::to_string(target.bands) + " t" +
         std::to_string(planner.threads);
}

// Whether a convolution has zeros enough and a form on lanes.
bool may_be_sparse(const Planner& planner, const Node& node) {
  if (!node.is("Conv") || node.integer("group", 1) != 1) return false;
  const Tensor* weight = planner.graph.constant(node.input(1));
  return weight != nullptr && weight->dims.size() == 4 && zero_share(*weight) >= kLeastZeros &&
         reach_of(planner, node).misfit.empty();
}

// Whether a layer that reads a value, or what is left of it behind at most `depth` sums and bounds, may want it in
// lanes.
bool read_as_lanes(const Planner& planner, ValueId id, int depth = 2) {
  const auto& readers = planner.consumers[size_t(id)];
  return std::any_of(readers.begin(), readers.end(), [&](int n) {
    const Node& node = planner.graph.nodes[size_t(n)];
    const bool passes = node.is("Add") || node.is("Relu") || node.is("Clip");
    return passes ? depth > 0 && read_as_lanes(planner, node.outputs[0], depth - 1) : may_be_sparse(planner, node);
  });
}

// As the layer's neighbours stand.
Changes changes_around(Planner& planner, ValueId input, const Clipped& clipped) {
  Changes changes;
  const auto count = [&](ValueId id, bool in_lanes, bool read) {
    const Dims dims = planner.dims(id);
    const Storage lanes = lanes_storage(planner, id),
                  other{Type::f32, dims, dims[1] < channel_block() ? Layout::plain : planner.image_layout};
    const bool enters = in_lanes != read;
    (in_lanes ? changes.dense : changes.sparse) +=
        enters ? time_lanes_change(planner, other, lanes) : time_lanes_change(planner, lanes, other);
  };
  for (const ValueId id : {input, clipped.residual}) {
    const auto slot = id == kNone ? std::nullopt : planner.existing(id);
    if (slot) count(id, planner.storage(*slot).layout == Layout::lanes, true);
  }
  count(clipped.result, read_as_lanes(planner, clipped.result), false);
  return changes;
}

}  // namespace

Reach reach_of(const Planner& planner, const Node& conv) {
  const Dims x = planner.dims(conv.inputs[0]), y = planner.dims(conv.outputs[0]);
  const Tensor* weight = planner.graph.constant(conv.input(1));
  if (x.size() != 4 || weight == nullptr || x[2] < 4 || x[3] < 4) return {0, "its maps are smaller than 4x4"};
  const Window window = window_of(conv, {x[2], x[3]}, {weight->dims[2], weight->dims[3]});
  const SparseLanes source{x[2], x[3], 0, planner.bands}, target{y[2], y[3], 0, planner.bands};
  const int64_t sub_in[] = {source.sub_height(), source.sub_width()}, sub_out[] = {target.sub_height(), target.sub_width()};
  Reach reach;
  for (size_t i = 0; i < 2; ++i) {
    if (window.stride[i] > 2) return {0, "strides above 2 have no sparse form on maps"};
    if (sub_out[i] * window.stride[i] != sub_in[i]) return {0, "the sub-tiles of its input and its result do not match"};
    // How far the last window of `out` reaches behind the last of `in`.
    const auto behind = [&](int64_t out, int64_t in) {
      return (out - 1) * window.stride[i] + (window.kernel[i] - 1) * window.dilation[i] - window.pad_begin[i] - (in - 1);
    };
    const bool leaves_map = behind(window.out[i], x[2 + i]) > 0;
    reach.ring = std::max({reach.ring, window.pad_begin[i], behind(sub_out[i], sub_in[i]), int64_t(leaves_map)});
    if (reach.ring > sub_in[i]) return {0, "its window reaches further than a sub-tile, a quarter of its map"};
  }
  return reach;
}

bool lower_sparse_conv(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* tensor = node.is("Conv") ? planner.graph.constant(node.input(1)) : nullptr;
  if (tensor == nullptr || !tensor->plain() || tensor->type != Type::f32 || tensor->dims.size() != 4 || node.integer("group", 1) != 1) return false;
  if ((node.input(2) != kNone && planner.graph.constant(node.inputs[2]) == nullptr) || planner.options.sparse == SparseLayers::never) return false;
  const double zeros = zero_share(*tensor);
  // A first convolution has few products: they may stay although none is with a zero, if that saves a change of layout.
  constexpr int64_t kFewInputs = 64;
  const bool sparse = zeros >= kLeastZeros;
  if (!planner.lanes) return sparse ? planner.refuse(percent(zeros) + " of its weights are zero, but the whole is faster dense"), false : false;
  if (!sparse && tensor->count() / tensor->dims[0] > kFewInputs) return false;
  const Dims x = planner.dims(node.inputs[0]), y = planner.dims(node.outputs[0]);
  if (count_of(x) == 0 || count_of(y) == 0 || x[2] < 4 || x[3] < 4) return false;
  const Window window = window_of(node, {x[2], x[3]}, {tensor->dims[2], tensor->dims[3]});
  const Reach reach = reach_of(planner, node);
  if (!reach.misfit.empty()) return sparse ? planner.refuse(reach.misfit), false : false;
  const Storage in = lanes_storage(planner, node.inputs[0]);
  if (lanes_of(in).channel() * x[1] > std::numeric_limits<int32_t>::max()) return planner.refuse("its input is too large for 32-bit offsets"), false;

  const Clipped clipped = clip_behind(planner, node.outputs[0], true);
  const Array weight = tensor->decode(), bias = node.input(2) != kNone ? planner.constant(node.inputs[2]).cast(Type::f32) : Array();
  const Storage out = lanes_storage(planner, clipped.result);
  auto step = std::make_unique<LanesConvStep>();
  step->source = lanes_of(in);
  step->target = lanes_of(out);
  if (clipped.residual != kNone) step->added = lanes_of(lanes_storage(planner, clipped.residual));
  step->joins = reach.ring > 0 && step->source.bands > 1;
  step->batch = x[0];
  step->inputs = x[1];
  step->outputs = y[1];
  const LanesConv conv = describe(window, weight, bias, *step, clipped);
  const size_t bytes = std::max(in.bytes(), out.bytes());
  const int64_t pitch = int64_t(bytes / sizeof(float)) / planner.bands;  // while it is timed
  const AlignedFloats from = aligned_zeros(bytes), to = aligned_zeros(bytes);
  step->pitch = &pitch;
  const std::string key = key_of(planner, node, zeros, clipped.text, step->source, step->target);
  step->layer = tune_sparse_layer(planner, conv.weights, conv.job, key, [&](const SparseLayer& layer) {
    run_parallel([&](int thread, int threads) { step->compute(layer, from.get(), nullptr, to.get(), thread, threads); });
  });
  std::string note;
  if (planner.options.tune && planner.options.sparse == SparseLayers::measured) {
    const int nodes[] = {n};
    const Comparison found = compare_forms(
        planner, key, tiling_text(step->layer), zeros,
        [&] { return time_nodes(planner, nodes, SparseLayers::never, "Conv"); },
        [&] {
          return least_time([&] {
            run_parallel([&](int thread, int threads) {
              step->compute(step->layer, from.get(), nullptr, to.get(), thread, threads);
            });
          });
        },
        changes_around(planner, node.inputs[0], clipped));
    note = found.note;
    if (!found.sparse_wins && sparse) planner.refuse(percent(zeros) + " of its weights are zero, but " + note);
    if (!found.sparse_wins) return false;
  }
  step->pitch = out.band_pitch;
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
