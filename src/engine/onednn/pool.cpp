#include "engine/onednn/onednn.h"
#include "graph/ops/ops.h"

namespace pare {

// Float pooling in the blocked layout, in the type its input is kept in.
bool lower_float_pool(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const bool global = node.is("GlobalAveragePool") || node.is("GlobalMaxPool");
  if (!(global || node.is("MaxPool") || node.is("AveragePool"))) return false;
  const ValueId x = node.inputs[0];
  const Dims dims = planner.dims(x);
  if (dims.size() != 4 || planner.graph.at(x).type != Type::f32 || (node.outputs.size() > 1 && node.outputs[1] != kNone)) return false;
  Window window;
  if (global) {
    window.kernel = {dims[2], dims[3]};
    window.stride = window.dilation = {1, 1};
    window.pad_begin = window.pad_end = {0, 0};
    window.out = {1, 1};
  } else {
    window = window_of(node, {dims[2], dims[3]});
  }
  if (window.dilation[0] != 1 || window.dilation[1] != 1) return planner.refuse("dilated pooling has no fast form"), false;
  dnnl::memory::dims pad_end;
  for (size_t i = 0; i < 2; ++i) {
    pad_end.push_back((window.out[i] - 1) * window.stride[i] + window.kernel[i] - dims[i + 2] - window.pad_begin[i]);
    if (pad_end[i] > window.kernel[i] || (pad_end[i] != window.pad_end[i] && node.integer("count_include_pad", 0) != 0))
      return planner.refuse("its ceil_mode border is counted differently by oneDNN"), false;
  }
  Type type = Type::f32;
  if (const auto slot = planner.existing(x); slot && planner.storage(*slot).type == Type::bf16) type = Type::bf16;
  const SlotId source = planner.slot(x, planner.image_layout, type);
  const Storage storage{type, planner.dims(node.outputs[0]), planner.image_layout};
  const auto algorithm = node.is("MaxPool") || node.is("GlobalMaxPool") ? dnnl::algorithm::pooling_max
                         : node.integer("count_include_pad", 0) != 0    ? dnnl::algorithm::pooling_avg_include_padding
                                                                        : dnnl::algorithm::pooling_avg_exclude_padding;
  const auto in = memory_desc(planner.storage(source)), out = memory_desc(storage);
  const dnnl::pooling_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm, in, out, {window.stride[0], window.stride[1]},
                                         {window.kernel[0], window.kernel[1]}, {window.pad_begin[0], window.pad_begin[1]}, pad_end);
  const dnnl::pooling_forward::primitive_desc described(desc, cpu_engine());
  auto step = std::make_unique<PrimitiveStep>();
  const SlotId target = planner.define(node.outputs[0], storage);
  step->set(dnnl::pooling_forward(described));
  step->bind_slot(DNNL_ARG_SRC, source, in);
  step->bind_slot(DNNL_ARG_DST, target, out);
  step->reads = {source};
  step->writes = target;
  step->report = {node.name, node.op_type, planner.graph.at(node.outputs[0]).name, std::string("onednn ") + described.impl_info_str(),
                  type == Type::bf16 ? "bf16" : "f32", "", 0, 0, 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
