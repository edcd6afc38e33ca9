// Scales found at run time: DynamicQuantizeLinear, and what its result is read by.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/threads.h"
#include "engine/integer/jobs.h"

namespace pare {
namespace {

// Smallest and largest value, and 0. Sixteen of each side by side, because a single one would be one long chain.
std::pair<float, float> range_of(const float* x, size_t count) {
  std::array<float, 16> low{}, high{};
  size_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (size_t k = 0; k < 16; ++k) {
      low[k] = x[i + k] < low[k] ? x[i + k] : low[k];
      high[k] = x[i + k] > high[k] ? x[i + k] : high[k];
    }
  for (; i < count; ++i) {
    low[0] = std::min(low[0], x[i]);
    high[0] = std::max(high[0], x[i]);
  }
  return {*std::min_element(low.begin(), low.end()), *std::max_element(high.begin(), high.end())};
}

// ONNX DynamicQuantizeLinear: u8 of this tensor's own range.
class DynamicQuantizeStep : public Step {
 public:
  DynamicQuantizeStep(const ElementwiseInt8Kernel& kernel, int64_t count) : kernel_(kernel), count_(count) {}
  void run(std::byte* const* slots, int, int) override {
    QuantizeInt8 job;
    job.input = reinterpret_cast<const float*>(slots[source]);
    job.output = slots[writes];
    job.width = int(count_);
    const auto [low, high] = range_of(job.input, size_t(count_));
    const float scale = high == low ? 1.f : (high - low) / 255.f;
    job.type = {false, int(std::clamp(std::nearbyint(-low / scale), 0.f, 255.f)), scale};
    *reinterpret_cast<float*>(slots[scale_slot]) = scale;
    *reinterpret_cast<uint8_t*>(slots[zero_slot]) = uint8_t(job.type.zero);
    run_parallel([&](int thread, int threads) { kernel_.quantize(job, thread, threads); });
  }
  SlotId source = -1, scale_slot = -1, zero_slot = -1;

 private:
  const ElementwiseInt8Kernel& kernel_;
  int64_t count_;
};

}  // namespace

std::optional<DynamicSource> dynamic_source(const Planner& planner, ValueId x) {
  auto made_by = [&](ValueId id) { return id == kNone || planner.producer[size_t(id)] < 0 ? nullptr : &planner.graph.nodes[size_t(planner.producer[size_t(id)])]; };
  const Node* back = made_by(x);
  if (back == nullptr || !back->is("DequantizeLinear")) return std::nullopt;
  const Node* quantize = made_by(back->inputs[0]);
  if (quantize == nullptr || !quantize->is("DynamicQuantizeLinear") || quantize->outputs.size() != 3) return std::nullopt;
  if (back->inputs[0] != quantize->outputs[0] || back->input(1) != quantize->outputs[1] || back->input(2) != quantize->outputs[2]) return std::nullopt;
  return DynamicSource{quantize->outputs[0], quantize->outputs[1], quantize->outputs[2]};
}

bool lower_dynamic_quantize(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("DynamicQuantizeLinear") || node.outputs.size() != 3 || std::count(node.outputs.begin(), node.outputs.end(), kNone) != 0) return false;
  const ValueId x = node.inputs[0];
  const Dims dims = planner.dims(x);
  if (planner.graph.constant(x) != nullptr || planner.graph.at(x).type != Type::f32 || dims.size() == 4 || count_of(dims) > (int64_t(1) << 30)) return false;
  auto step = std::make_unique<DynamicQuantizeStep>(elementwise_kernel(planner), count_of(dims));
  step->source = planner.slot(x, Layout::plain, Type::f32);
  step->writes = planner.define(node.outputs[0], {Type::u8, dims, Layout::plain});
  step->scale_slot = planner.define(node.outputs[1], {Type::f32, {}, Layout::plain});
  step->zero_slot = planner.define(node.outputs[2], {Type::u8, {}, Layout::plain});
  // Further results count as read, so that their memory is not another's while this step runs.
  step->reads = {step->source, step->scale_slot, step->zero_slot};
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("int8 ") + elementwise_kernel(planner).isa, "int8", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

bool lower_deferred_dynamic(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("DequantizeLinear") || !dynamic_source(planner, node.outputs[0]) || planner.pinned(node.outputs[0])) return false;
  const auto& readers = planner.consumers[size_t(node.outputs[0])];
  return !readers.empty() && std::all_of(readers.begin(), readers.end(), [&](int reader) { return is_dynamic_linear(planner, reader); });
}

}  // namespace pare
