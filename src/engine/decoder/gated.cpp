// Gated linear units: x·sigmoid(x) times another layer's result, one step that the team shares.
#include "engine/plan.h"
#include "kernels/float_rows/float_rows.h"

namespace pare {
namespace {

class GateStep : public Step {
 public:
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override {
    constexpr int64_t kLine = 16;  // floats: no two threads write into one
    const int64_t lines = (count + kLine - 1) / kLine;
    const int64_t first = lines * thread / threads * kLine,
                  last = std::min(count, lines * (thread + 1) / threads * kLine);
    const auto at = [&](SlotId id) { return reinterpret_cast<float*>(slots[id]) + first; };
    if (last > first) best_float_rows_kernel().gate(at(reads[0]), at(reads[1]), at(writes), last - first);
  }
  int64_t count = 0;
};

}  // namespace

bool lower_gated(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Swish") || node.real("alpha", 1) != 1 || planner.graph.at(node.inputs[0]).type != Type::f32 ||
      planner.graph.constant(node.inputs[0]) != nullptr)
    return false;
  const int next = planner.only_consumer(node.outputs[0]);
  if (next < 0 || !planner.graph.nodes[size_t(next)].is("Mul")) return false;
  const Node& product = planner.graph.nodes[size_t(next)];
  const ValueId by = product.inputs[product.inputs[0] == node.outputs[0] ? 1 : 0], y = product.outputs[0];
  const Dims dims = planner.dims(node.inputs[0]);
  // Pictures have layouts of their own; what is not there yet cannot be multiplied with.
  if (by == node.outputs[0] || dims.size() > 3 || !planner.existing(by) || planner.graph.constant(by) != nullptr ||
      planner.graph.at(by).type != Type::f32 || planner.dims(by) != dims)
    return false;
  auto step = std::make_unique<GateStep>();
  step->count = count_of(dims);
  step->reads = {planner.slot(node.inputs[0], Layout::plain, Type::f32), planner.slot(by, Layout::plain, Type::f32)};
  step->writes = planner.define(y, {Type::f32, dims, Layout::plain});
  step->report = {node.name, "Swish+Mul", planner.graph.at(y).name, best_float_rows_kernel().name, "f32", "", 0, 0, 0};
  planner.done[size_t(next)] = 1;
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
