// Convolutions to a picture's colours, or to anything else of at most four channels, by our own kernel.
#include <algorithm>

#include "engine/channel_vectors.h"
#include "engine/clipped.h"
#include "engine/plan.h"
#include "graph/ops/ops.h"
#include "kernels/float_few_outputs/float_few_outputs.h"

namespace pare {
namespace {

class FewOutputsStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    FewOutputs mine = job;
    mine.weights = weights.data();
    mine.bias = bias.data();
    // Parts of rows: a signal over time is a single one.
    constexpr int64_t kPart = 256;
    const int64_t a_row = (job.out_width + kPart - 1) / kPart, a_image = job.out_height * a_row, all = images * a_image;
    for (int64_t part = all * thread / threads; part < all * (thread + 1) / threads; ++part) {
      const int64_t image = part / a_image, first = part % a_row * kPart;
      mine.x = slots[reads[0]] + image * x_image * kernel->bits / 8;
      mine.y = reinterpret_cast<float*>(slots[writes]) + image * job.outputs * job.out_height * job.out_width;
      kernel->run(mine, part % a_image / a_row, first, std::min(first + kPart, job.out_width));
    }
  }

  const FewOutputsKernel* kernel = nullptr;
  FewOutputs job;  // without pointers
  std::vector<std::byte> weights;
  std::vector<float> bias;
  int64_t images = 1, x_image = 0;
};

void place_input(FewOutputsStep& step, const Storage& storage) {
  const ChannelVectors x = channel_vectors(storage, step.kernel->lanes);
  FewOutputs& job = step.job;
  job.blocks = x.blocks;
  job.x_pixel = x.pixel;
  job.x_row = x.row;
  job.x_block = x.block;
  job.height = storage.dims[2];
  job.width = storage.dims[3];
  step.images = storage.dims[0];
  step.x_image = x.image;
}

}  // namespace

bool lower_few_outputs(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* weight = node.is("Conv") ? planner.graph.constant(node.input(1)) : nullptr;
  if (weight == nullptr || weight->dims.size() != 4 || node.integer("group", 1) != 1 || !is_float(weight->type)) return false;
  const Tensor* bias = planner.graph.constant(node.input(2));
  if (node.input(2) != kNone && (bias == nullptr || bias->count() != weight->dims[0])) return false;
  const Type type = compute_type(planner, node.inputs[1]);
  if (in_bfloat16(*weight) && type != Type::bf16) return false;
  const FewOutputsKernel* best = best_few_outputs_kernel(type == Type::bf16 ? 16 : 32);
  if (best == nullptr) return false;
  const FewOutputsKernel& kernel = *best;
  const Dims x = planner.dims(node.inputs[0]), y = planner.dims(node.outputs[0]);
  // Each place ends with a sum over lanes, as much work as some products of registers. Without wide vectors oneDNN is the better
  // of the two.
  constexpr int64_t kLeastProducts = 8;
  if (kernel.lanes < 8 || kernel.lanes != channel_block() || y[1] > kMostFewOutputs || count_of(x) == 0 || count_of(y) == 0) return false;
  if (x[1] * weight->dims[2] * weight->dims[3] < kLeastProducts * kernel.lanes || x[1] < kernel.lanes) return false;
  if (planner.image_layout == Layout::channels_last && x[1] % kernel.lanes != 0) return false;

  const Window window = window_of(node, {x[2], x[3]}, {weight->dims[2], weight->dims[3]});
  if (kernel.together > 1 && (planner.image_layout != Layout::blocked || window.stride[1] != 1)) return false;

  const Clipped clipped = clip_behind(planner, node.outputs[0], false);
  const Array values = planner.constant(node.inputs[1]).cast(Type::f32);
  auto step = std::make_unique<FewOutputsStep>();
  step->kernel = &kernel;
  step->reads = {planner.slot(node.inputs[0], planner.image_layout, type)};
  place_input(*step, planner.storage(step->reads[0]));
  FewOutputs& job = step->job;
  job.outputs = y[1];
  job.out_height = y[2];
  job.out_width = y[3];
  for (size_t i = 0; i < 2; ++i) {
    job.kernel[i] = window.kernel[i];
    job.stride[i] = window.stride[i];
    job.dilation[i] = window.dilation[i];
    job.pad[i] = window.pad_begin[i];
  }
  job.low = clipped.low;
  job.high = clipped.high;
  step->weights = pack_few_outputs(kernel, values.values<float>().data(), y[1], x[1], weight->dims[2] * weight->dims[3]);
  step->bias = bias != nullptr ? bias->decode().to_floats() : std::vector<float>(size_t(y[1]));
  step->writes = planner.define(clipped.result, {Type::f32, y, Layout::plain});
  for (int fused : clipped.nodes) planner.done[size_t(fused)] = 1;
  step->report = {node.name, "Conv" + clipped.text, planner.graph.at(clipped.result).name, kernel.name, type == Type::bf16 ? "bf16" : "f32", "", values.count() * y[0] * y[2] * y[3], weight->size_bytes(), 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
