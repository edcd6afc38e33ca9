// Products of two computed matrices, or of a stack of them.
#include "engine/onednn/onednn.h"

namespace pare {
namespace {

// Both operands with as many axes; a vector is no matrix.
bool align(Dims& a, Dims& b) {
  if (a.size() < 2 || b.size() < 2) return false;
  while (a.size() < b.size()) a.insert(a.begin(), 1);
  while (b.size() < a.size()) b.insert(b.begin(), 1);
  return a.size() <= 5;
}

}  // namespace

bool lower_float_matmul(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("MatMul") || planner.graph.at(node.outputs[0]).type != Type::f32) return false;
  Dims a = planner.dims(node.inputs[0]), b = planner.dims(node.inputs[1]), y = planner.dims(node.outputs[0]);
  if (!align(a, b) || y.size() != a.size() || count_of(y) == 0 || a.back() == 0) return false;
  const auto plain = [](const Dims& dims) { return memory_desc({Type::f32, dims, Layout::plain}); };
  const Fused fused = fuse_behind(planner, node.outputs[0], false);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(post_ops_of(fused, false, plain(y)));
  std::optional<dnnl::matmul::primitive_desc> described;
  try {
    described.emplace(dnnl::matmul::desc(plain(a), plain(b), plain(y)), attributes, cpu_engine());
  } catch (const dnnl::error&) {
    return planner.refuse("oneDNN has no form for this product"), false;
  }
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::matmul(*described));
  const auto bind = [&](int argument, ValueId id, const Dims& dims) {
    if (planner.graph.constant(id) != nullptr) return step->bind_memory(argument, constant_memory(plain(dims), planner.constant(id), plain(dims).dims()));
    const SlotId slot = planner.slot(id, Layout::plain, Type::f32);
    step->bind_slot(argument, slot, plain(dims));
    step->reads.push_back(slot);
  };
  bind(DNNL_ARG_SRC, node.inputs[0], a);
  bind(DNNL_ARG_WEIGHTS, node.inputs[1], b);
  step->writes = planner.define(fused.result, {Type::f32, planner.dims(fused.result), Layout::plain});
  step->bind_slot(DNNL_ARG_DST, step->writes, plain(y));
  step->report = {node.name, node.op_type + fused.text, planner.graph.at(fused.result).name, std::string("onednn ") + described->impl_info_str(), "f32", "",
                  count_of(y) * a.back(), 0, 0};
  for (int k : fused.nodes) planner.done[size_t(k)] = 1;
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
