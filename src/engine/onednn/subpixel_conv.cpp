// Sub-pixel convolution (Shi et al. 2016, section 2.2): a 3x3 convolution whose channels DepthToSpace spreads over pixels. Winograd's form writes
// them where they belong, and the picture before, as large as the one behind, is never made.
#include "engine/onednn/onednn.h"
#include "engine/winograd.h"
#include "graph/ops/ops.h"

namespace pare {

bool lower_subpixel_conv(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const Tensor* weight = node.is("Conv") ? planner.graph.constant(node.input(1)) : nullptr;
  const Tensor* bias = planner.graph.constant(node.input(2));
  if (weight == nullptr || weight->dims.size() != 4 || (node.input(2) != kNone && bias == nullptr)) return false;
  const Fused fused = fuse_behind(planner, node.outputs[0], false);
  const int shuffle = planner.only_consumer(fused.result);
  if (shuffle < 0 || !planner.graph.nodes[size_t(shuffle)].is("DepthToSpace") || planner.homed(fused.result)) return false;
  const Node& last = planner.graph.nodes[size_t(shuffle)];
  const int64_t block = last.integer("blocksize", 1), groups = node.integer("group", 1);
  const auto functions = functions_of(fused);
  const Dims x = planner.dims(node.inputs[0]), y = planner.dims(last.outputs[0]);
  const Window window = window_of(node, {x[2], x[3]}, {weight->dims[2], weight->dims[3]});
  const bool plain = window.stride == Dims{1, 1} && window.dilation == Dims{1, 1}, ordered = depth_groups(last, y[1]) == groups;  // see order_subpixels.cpp
  if (!functions || !plain || !ordered || block < 2 || compute_type(planner, node.inputs[1]) != Type::f32) return false;

  const Array values = planner.constant(node.inputs[1]).cast(Type::f32);
  const Array added = bias != nullptr ? planner.constant(node.inputs[2]).cast(Type::f32) : Array(Type::f32, {values.dim(0)});
  if (added.count() != values.dim(0)) return false;
  WinogradLayer layer{values, added.reshaped({values.dim(0)}), groups, {window.pad_begin[0], window.pad_begin[1]},
                      {Type::f32, x, planner.image_layout}, {Type::f32, y, planner.image_layout}, functions->first, functions->last, block};
  const auto forms = winograd_kernels_for(layer);
  if (forms.empty() || (planner.image_layout == Layout::blocked && forms[0]->lanes != channel_block())) return false;

  const SlotId source = planner.slot(node.inputs[0], planner.image_layout, Type::f32);
  auto step = make_winograd(planner, *forms[0], layer, source, -1, planner.define(last.outputs[0], layer.target));
  step->report = {node.name, "Conv" + fused.text + "+DepthToSpace", planner.graph.at(last.outputs[0]).name, forms[0]->name, "f32", "", values.count() * x[0] * window.out[0] * window.out[1],
                  weight->size_bytes(), 0};
  for (int k : fused.nodes) planner.done[size_t(k)] = 1;
  planner.done[size_t(shuffle)] = 1;
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
