// Resize between neighbours whose centres are aligned: the one way of counting coordinates oneDNN knows.
#include "engine/onednn/onednn.h"

namespace pare {

bool lower_float_resize(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const ValueId x = node.inputs[0];
  if (!node.is("Resize") || planner.graph.at(x).type != Type::f32 || planner.graph.constant(x) != nullptr) return false;
  const std::string where = node.text("coordinate_transformation_mode", "half_pixel");
  const Dims from = planner.dims(x), to = planner.dims(node.outputs[0]);
  const bool linear = node.text("mode", "nearest") == "linear" && node.integer("antialias", 0) == 0;
  if (!linear || from.size() != 4 || from[0] != to[0] || from[1] != to[1] || count_of(to) == 0 || count_of(from) == 0) return false;
  // pytorch_half_pixel differs where the result has one pixel only.
  if (!(where == "half_pixel" || (where == "pytorch_half_pixel" && to[2] > 1 && to[3] > 1))) return false;
  // Scales that are given count as they are; oneDNN takes those that follow from the extents.
  const Tensor* scales = planner.graph.constant(node.input(2));
  if (node.input(2) != kNone && scales == nullptr) return false;
  if (scales != nullptr && scales->count() > 0) {
    const auto given = scales->decode().to_floats();
    for (size_t i = 0; i < given.size(); ++i)
      if (given.size() != 4 || double(given[i]) * double(from[i]) != double(to[i])) return false;
  }
  const Storage source{Type::f32, from, planner.image_layout}, target{Type::f32, to, planner.image_layout};
  std::optional<dnnl::resampling_forward::primitive_desc> described;
  try {
    described.emplace(dnnl::resampling_forward::desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::resampling_linear, memory_desc(source), memory_desc(target)), cpu_engine());
  } catch (const dnnl::error&) {
    return planner.refuse("oneDNN has no form for this resize"), false;
  }
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::resampling_forward(*described));
  const SlotId in = planner.slot(x, planner.image_layout, Type::f32);
  step->bind_slot(DNNL_ARG_SRC, in, memory_desc(source));
  step->reads = {in};
  step->writes = planner.define(node.outputs[0], target);
  step->bind_slot(DNNL_ARG_DST, step->writes, memory_desc(target));
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("onednn ") + described->impl_info_str(), "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
