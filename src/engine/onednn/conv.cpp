// Float convolution with bias, residual sum and activation in one primitive; direct and Winograd forms are measured.
#include <algorithm>

#include "engine/onednn/onednn.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

using dnnl::memory;

struct ConvPlan {
  memory::dims strides, dilates, pad_begin, pad_end, weight_dims;
  memory::desc source, target, bias;
  Type type = Type::f32;
  memory::data_type bias_type = memory::data_type::f32;
};

std::optional<dnnl::convolution_forward::primitive_desc> describe(const ConvPlan& plan, dnnl::algorithm algorithm, const dnnl::post_ops& ops) {
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(ops);
  const memory::desc weights(plan.weight_dims, data_type(plan.type), memory::format_tag::any);
  try {
    dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference, algorithm, plan.source, weights, plan.bias, plan.target, plan.strides,
                                         plan.dilates, plan.pad_begin, plan.pad_end);
    return dnnl::convolution_forward::primitive_desc(desc, attributes, cpu_engine());
  } catch (const dnnl::error&) {
    return std::nullopt;
  }
}

std::string conv_key(const Planner& planner, const Node& node, const Fused& fused, Type type) {
  return std::string("float_conv ") + (planner.image_layout == Layout::blocked ? "blocked " : "last ") + std::string(type_text(type)) + " " + dims_text(planner.dims(node.inputs[0])) + " w" + dims_text(planner.graph.constant(node.inputs[1])->dims) +
         " s" + dims_text(node.integers("strides")) + " p" + dims_text(node.integers("pads")) + " g" + std::to_string(node.integer("group", 1)) + fused.text +
         " t" + std::to_string(planner.threads);
}

std::unique_ptr<PrimitiveStep> make_step(const dnnl::convolution_forward::primitive_desc& desc, const ConvPlan& plan, const Array& weight, const Array& bias,
                                         SlotId source, SlotId target) {
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::convolution_forward(desc));
  step->bind_slot(DNNL_ARG_SRC, source, plan.source);
  step->bind_slot(DNNL_ARG_DST, target, plan.target);
  step->bind_memory(DNNL_ARG_WEIGHTS, constant_memory(desc.weights_desc(), weight, plan.weight_dims));
  step->bind_memory(DNNL_ARG_BIAS, constant_memory(desc.bias_desc(), bias, plan.bias.dims()));
  return step;
}

ConvPlan plan_conv(const Planner& planner, const Node& node, const Storage& source, const Storage& target) {
  const Array weight = planner.constant(node.inputs[1]);
  const Dims& x = source.dims;
  const Window window = window_of(node, {x.begin() + 2, x.end()}, {weight.dims().begin() + 2, weight.dims().end()});
  const int64_t group = node.integer("group", 1);
  ConvPlan plan;
  plan.type = source.type;
  for (size_t i = 0; i < window.kernel.size(); ++i) {
    plan.strides.push_back(window.stride[i]);
    plan.dilates.push_back(window.dilation[i] - 1);
    plan.pad_begin.push_back(window.pad_begin[i]);
    plan.pad_end.push_back((window.out[i] - 1) * window.stride[i] + (window.kernel[i] - 1) * window.dilation[i] + 1 - x[i + 2] - window.pad_begin[i]);
  }
  plan.weight_dims.assign(weight.dims().begin(), weight.dims().end());
  if (group > 1) {
    plan.weight_dims[0] /= group;
    plan.weight_dims.insert(plan.weight_dims.begin(), group);
  }
  plan.source = memory_desc(source);
  plan.target = memory_desc(target);
  plan.bias = memory::desc({weight.dim(0)}, memory::data_type::f32, memory::format_tag::a);
  return plan;
}

}  // namespace

bool lower_float_conv(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Conv") || planner.graph.constant(node.inputs[1]) == nullptr) return false;
  if (node.input(2) != kNone && planner.graph.constant(node.inputs[2]) == nullptr) return false;
  const Dims x = planner.dims(node.inputs[0]);
  if (x.size() != 4) return planner.refuse("only convolutions over two axes have a fast form"), false;
  const Type type = compute_type(planner, node.inputs[1]);
  Fused fused = fuse_behind(planner, node.outputs[0], true);
  const Array weight = planner.constant(node.inputs[1]);
  const Array bias = node.input(2) != kNone ? planner.constant(node.inputs[2]) : Array(Type::f32, {weight.dim(0)});

  // Few input channels would mostly fill a block with zeros; oneDNN reads them as they lie.
  const bool first = x[1] < 4;
  const SlotId source = planner.slot(node.inputs[0], first && planner.image_layout == Layout::blocked ? Layout::plain : planner.image_layout, type);
  const Storage target_storage{type, planner.dims(fused.result), planner.image_layout};
  const int add = fused.residual == kNone ? -1 : *std::find_if(fused.nodes.begin(), fused.nodes.end(), [&](int k) { return planner.graph.nodes[size_t(k)].is("Add"); });
  SlotId residual = -1;
  bool in_place = false;
  if (fused.residual != kNone) {
    residual = planner.slot(fused.residual, planner.image_layout, type);
    const bool input = std::find(planner.input_slots.begin(), planner.input_slots.end(), residual) != planner.input_slots.end();
    in_place = !input && !planner.homed(fused.result) && residual != source && planner.last_use(fused.residual, add);
  }
  const ConvPlan plan = plan_conv(planner, node, planner.storage(source), target_storage);
  const dnnl::post_ops ops = post_ops_of(fused, in_place, memory_desc(target_storage));
  std::vector<dnnl::convolution_forward::primitive_desc> candidates;
  for (const auto algorithm : {dnnl::algorithm::convolution_direct, dnnl::algorithm::convolution_winograd}) {
    auto desc = describe(plan, algorithm, ops);
    if (desc) candidates.push_back(*desc);
  }
  if (candidates.empty()) return planner.refuse("oneDNN has no form for this convolution"), false;
  const SlotId target = in_place ? planner.define_alias(fused.result, target_storage, residual) : planner.define(fused.result, target_storage);

  std::vector<std::unique_ptr<PrimitiveStep>> steps;
  for (const auto& candidate : candidates) steps.push_back(make_step(candidate, plan, weight, bias, source, target));
  for (auto& step : steps) {
    step->reads = {source};
    if (residual >= 0) step->reads.push_back(residual);
    step->writes = target;
    if (residual >= 0 && !in_place) step->bind_slot(residual_argument(fused), residual, memory_desc(target_storage));
  }
  int choice = 0;
  if (steps.size() > 1 && planner.options.tune) {
    const std::string key = conv_key(planner, node, fused, type);
    const auto known = planner.cache.find(key);
    choice = known && *known < int(steps.size()) ? *known : fastest_of(int(steps.size()), [&, buffers = std::vector<std::vector<std::byte>>()](int i) mutable {
      if (buffers.empty()) {
        buffers.emplace_back(planner.storage(source).bytes() + 64);
        buffers.emplace_back(target_storage.bytes() + 64);
        buffers.emplace_back(target_storage.bytes() + 64);
      }
      std::vector<std::byte*> addresses(planner.slots.size(), buffers[2].data());
      addresses[size_t(source)] = buffers[0].data();
      addresses[size_t(target)] = buffers[1].data();
      steps[size_t(i)]->run(addresses.data(), 0, 1);
    });
    if (!known) planner.cache.store(key, choice);
  }
  auto step = std::move(steps[size_t(choice)]);
  for (int fused_node : fused.nodes) planner.done[size_t(fused_node)] = 1;
  int64_t macs = weight.count() / weight.dim(0);
  for (int64_t extent : target_storage.dims) macs *= extent;
  step->report = {node.name, "Conv" + fused.text, planner.graph.at(fused.result).name, std::string("onednn ") + candidates[size_t(choice)].impl_info_str(),
                  type == Type::bf16 ? "bf16" : "f32", "", macs, planner.graph.constant(node.inputs[1])->size_bytes(), 0};
  planner.emit(std::move(step));
  return true;
}

}  // namespace pare
