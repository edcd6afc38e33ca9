// The lowerings that take what no other does: views that move nothing, and operators run by their reference forward.
#include <algorithm>
#include <cstring>

#include "engine/plan.h"
#include "graph/op.h"

namespace pare {
namespace {

class InterpretStep : public Step {
 public:
  InterpretStep(const Node& node, int64_t opset) : node_(node), opset_(opset) {}
  void run(std::byte* const* slots, int, int) override {
    Forward forward{node_, opset_, constants_, {}};
    for (const auto& [input, slot, storage] : sources_) {
      const std::byte* bytes = slots[slot];
      forward.inputs[input] = Array(storage.type, storage.dims, nullptr, bytes, storage.bytes());
    }
    for (const auto& [name, slot, storage] : around_) forward.outer[name] = Array(storage.type, storage.dims, nullptr, slots[slot], storage.bytes());
    forward.outer.insert(outer_constants_.begin(), outer_constants_.end());
    forward.outputs.resize(node_.outputs.size());
    node_.op->forward(forward);
    for (const auto& [output, slot, storage] : targets_) {
      const Dims& found = forward.outputs[output].dims();
      if (found != storage.dims || forward.outputs[output].type() != storage.type)
        throw Error(node_.where(), "computed " + dims_text(found) + " where the graph foretold " + dims_text(storage.dims));
      std::memcpy(slots[slot], forward.outputs[output].bytes(), storage.bytes());
    }
  }

  std::vector<Array> constants_;
  std::vector<std::tuple<size_t, SlotId, Storage>> sources_, targets_;
  std::vector<std::tuple<std::string, SlotId, Storage>> around_;  // what its subgraphs read
  OuterValues outer_constants_;

 private:
  Node node_;
  int64_t opset_;
};

}  // namespace

// Reshape and its kin: the bytes stay where they are.
bool lower_view(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!(node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze") || node.is("Identity"))) return false;
  const ValueId x = node.inputs[0], y = node.outputs[0];
  if (planner.graph.constant(x) != nullptr) return false;
  const SlotId source = planner.slot(x, Layout::plain, planner.graph.at(x).type);
  // An input's memory is the caller's: a view of it would be overwritten by in-place steps.
  if (planner.is_input(source)) return false;
  planner.keep(x);
  const SlotId target = planner.define_alias(y, {planner.graph.at(x).type, planner.dims(y), Layout::plain}, source);
  auto step = std::make_unique<ViewStep>();
  step->reads = {source};
  step->writes = target;
  step->report = {node.name, node.op_type, planner.graph.at(y).name, "view", "", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

bool lower_interpret(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  executable(node);
  auto step = std::make_unique<InterpretStep>(node, planner.graph.opset());
  step->constants_.resize(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    if (id == kNone) continue;
    if (planner.graph.constant(id) != nullptr) {
      step->constants_[i] = planner.constant(id);
      continue;
    }
    const SlotId slot = planner.slot(id, Layout::plain, planner.graph.at(id).type);
    step->sources_.emplace_back(i, slot, planner.storage(slot));
    step->reads.push_back(slot);
  }
  for (const std::string& name : outer_names(node)) {
    const ValueId id = planner.graph.find(name);
    if (id == kNone) continue;
    if (planner.graph.constant(id) != nullptr) {
      step->outer_constants_[name] = planner.constant(id);
      continue;
    }
    const SlotId slot = planner.slot(id, Layout::plain, planner.graph.at(id).type);
    step->around_.emplace_back(name, slot, planner.storage(slot));
    step->reads.push_back(slot);
  }
  step->report = {node.name, node.op_type, "", "reference", "", "", 0, 0, 0};
  std::vector<SlotId> extra;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId id = node.outputs[i];
    if (id == kNone) continue;
    const SlotId slot = planner.define(id, {planner.graph.at(id).type, planner.dims(id), Layout::plain});
    step->targets_.emplace_back(i, slot, planner.storage(slot));
    if (step->writes < 0) {
      step->writes = slot;
      step->report.output = planner.graph.at(id).name;
    } else {
      extra.push_back(slot);
    }
  }
  // Further outputs count as read here too, so that their memory is not another's while this step runs.
  step->reads.insert(step->reads.end(), extra.begin(), extra.end());
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
