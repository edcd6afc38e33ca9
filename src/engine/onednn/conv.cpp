// Float convolution with bias, residual sum and activation in one step; oneDNN's direct and Winograd forms and our own, of 1x1
// kernels as linear layers, of 3x3 kernels by Winograd's transforms and of depthwise ones, are measured.
#include <algorithm>

#include "base/threads.h"
#include "engine/onednn/own_conv.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

using dnnl::memory;

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

// Blocks that channels do not fill hold zeros behind them. As a convolution over whole blocks, its weights filled up with
// zeros, the layer can take forms that ask for whole blocks.
Storage widened(Storage storage) {
  if (storage.layout == Layout::blocked) storage.dims[1] = (storage.dims[1] + channel_block() - 1) / channel_block() * channel_block();
  return storage;
}

ConvPlan over_whole_blocks(ConvPlan plan, const Storage& source, const Storage& target) {
  plan.source = memory_desc(widened(source));
  plan.target = memory_desc(widened(target));
  plan.weight_dims[0] = widened(target).dims[1];
  plan.weight_dims[1] = widened(source).dims[1];
  plan.bias = memory::desc({plan.weight_dims[0]}, memory::data_type::f32, memory::format_tag::a);
  return plan;
}

// The zeros behind the channels must stay zeros.
bool keeps_zero(const Fused& fused) {
  return std::all_of(fused.activations.begin(), fused.activations.end(), [](const Fused::Activation& a) {
    using A = dnnl::algorithm;
    const bool odd = a.algorithm == A::eltwise_relu || a.algorithm == A::eltwise_swish || a.algorithm == A::eltwise_gelu_erf || a.algorithm == A::eltwise_gelu_tanh ||
                     a.algorithm == A::eltwise_tanh || a.algorithm == A::eltwise_hardswish || a.algorithm == A::eltwise_elu || a.algorithm == A::eltwise_abs || a.algorithm == A::eltwise_mish;
    return odd || (a.algorithm == A::eltwise_clip && a.alpha <= 0 && a.beta >= 0);
  });
}

// `values` in the first corner of an array of zeros.
Array filled_up(const Array& values, const memory::dims& dims) {
  Array result(Type::f32, Dims(dims.begin(), dims.end()));
  if (result.dims() == values.dims()) return values;
  const int64_t inner = values.count() / (values.dim(0) * (values.rank() > 1 ? values.dim(1) : 1));
  const int64_t columns = values.rank() > 1 ? values.dim(1) * inner : 1, wide = values.rank() > 1 ? result.dim(1) * inner : 1;
  const auto from = values.values<float>();
  auto to = result.mutable_values<float>();
  for (int64_t row = 0; row < values.dim(0); ++row) std::copy_n(from.begin() + row * columns, columns, to.begin() + row * wide);
  return result;
}

// A form the layer may take.
struct Candidate {
  dnnl::convolution_forward::primitive_desc desc;
  ConvPlan plan;
  Joining joining = Joining::fused;
  bool slow() const { return std::string_view(desc.impl_info_str()).starts_with("ref"); }
};

// What stays with the convolution where the sum comes in a step of its own.
Fused in_front_of_sum(const Fused& fused) {
  Fused front;
  for (const auto& activation : fused.activations)
    if (activation.before_residual) front.activations.push_back(activation);
  return front;
}

std::vector<Candidate> candidates_of(const ConvPlan& plan, const Fused& fused, bool in_place, const Storage& source, const Storage& target) {
  std::vector<ConvPlan> plans{plan};
  const bool blocked = source.layout == Layout::blocked && target.layout == Layout::blocked && plan.type == Type::f32;
  if (blocked && plan.weight_dims.size() == 4 && (source.dims[1] % channel_block() != 0 || target.dims[1] % channel_block() != 0) && keeps_zero(fused))
    plans.push_back(over_whole_blocks(plan, source, target));
  const bool alone = fused.activations.empty() && fused.residual == kNone;
  const bool separable = !alone && !in_place && (keeps_zero(fused) || widened(target) == target);
  std::vector<Candidate> candidates;
  std::optional<Candidate> last_resort;
  for (const auto algorithm : {dnnl::algorithm::convolution_direct, dnnl::algorithm::convolution_winograd}) {
    // Of each algorithm the first form that is no reference: fused before others, as it is before filled up.
    bool found = false;
    for (const Joining joining : {Joining::fused, Joining::preloaded, Joining::apart})
      for (const ConvPlan& with : plans) {
        if (found || (joining == Joining::apart && !separable) || (joining == Joining::preloaded && (in_place || fused.residual == kNone))) continue;
        const auto desc = describe(with, algorithm, joining == Joining::apart ? post_ops_of(in_front_of_sum(fused), false, with.target) : post_ops_of(fused, in_place || joining == Joining::preloaded, with.target));
        if (!desc) continue;
        const Candidate candidate{*desc, with, joining};
        found = !candidate.slow();
        if (found) candidates.push_back(candidate);
        else if (!last_resort) last_resort = candidate;
      }
  }
  if (candidates.empty() && last_resort) candidates.push_back(*last_resort);
  return candidates;
}

// The sum and the activations as a step that updates the target. It works on whole blocks: oneDNN 2.6 forgets what follows
// a binary operation where the last block is not full.
std::unique_ptr<PrimitiveStep> make_tail(const Fused& fused, const Storage& storage, SlotId residual, SlotId target) {
  const memory::desc desc = memory_desc(widened(storage));
  dnnl::primitive_attr attributes;
  dnnl::post_ops ops;
  auto step = std::make_unique<PrimitiveStep>();
  std::vector<Fused::Activation> all;
  std::copy_if(fused.activations.begin(), fused.activations.end(), std::back_inserter(all), [](const auto& a) { return !a.before_residual; });
  for (size_t i = residual < 0; i < all.size(); ++i) ops.append_eltwise(1.f, all[i].algorithm, all[i].alpha, all[i].beta);
  attributes.set_post_ops(ops);
  if (residual >= 0) {
    step->set(dnnl::binary(dnnl::binary::primitive_desc(dnnl::binary::desc(dnnl::algorithm::binary_add, desc, desc, desc), attributes, cpu_engine())));
    step->bind_slot(DNNL_ARG_SRC_0, target, desc);
    step->bind_slot(DNNL_ARG_SRC_1, residual, desc);
    step->reads = {target, residual};
  } else {
    const dnnl::eltwise_forward::desc first(dnnl::prop_kind::forward_inference, all[0].algorithm, desc, all[0].alpha, all[0].beta);
    step->set(dnnl::eltwise_forward(dnnl::eltwise_forward::primitive_desc(first, attributes, cpu_engine())));
    step->bind_slot(DNNL_ARG_SRC, target, desc);
    step->reads = {target};
  }
  step->bind_slot(DNNL_ARG_DST, target, desc);
  step->writes = target;
  return step;
}

std::string conv_key(const Planner& planner, const Node& node, const Fused& fused, Type type) {
  return std::string("float_conv 4 ") + (planner.image_layout == Layout::blocked ? "blocked " : "last ") + std::string(type_text(type)) + " " + dims_text(planner.dims(node.inputs[0])) + " w" + dims_text(planner.graph.constant(node.inputs[1])->dims) +
         " s" + dims_text(node.integers("strides")) + " p" + dims_text(node.integers("pads")) + (node.integers("dilations", {1, 1}) == Dims{1, 1} ? "" : " d" + dims_text(node.integers("dilations"))) + " g" + std::to_string(node.integer("group", 1)) + fused.text +
         " t" + std::to_string(planner.threads);
}

std::unique_ptr<PrimitiveStep> make_step(const dnnl::convolution_forward::primitive_desc& desc, const ConvPlan& plan, const Array& weight, const Array& bias,
                                         SlotId source, SlotId target) {
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::convolution_forward(desc));
  step->bind_slot(DNNL_ARG_SRC, source, plan.source);
  step->bind_slot(DNNL_ARG_DST, target, plan.target);
  const Array kernel = plan.weight_dims.size() == 4 ? filled_up(weight.cast(Type::f32), plan.weight_dims) : weight;
  step->bind_memory(DNNL_ARG_WEIGHTS, constant_memory(desc.weights_desc(), kernel, plan.weight_dims));
  step->bind_memory(DNNL_ARG_BIAS, constant_memory(desc.bias_desc(), filled_up(bias.cast(Type::f32), plan.bias.dims()), plan.bias.dims()));
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

std::unique_ptr<PrimitiveStep> make_copy(const memory::desc& desc, SlotId source, SlotId target) {
  auto step = std::make_unique<PrimitiveStep>();
  step->set(dnnl::reorder(dnnl::reorder::primitive_desc(cpu_engine(), desc, cpu_engine(), desc)));
  step->bind_slot(DNNL_ARG_FROM, source, desc);
  step->bind_slot(DNNL_ARG_TO, target, desc);
  step->reads = {source};
  step->writes = target;
  return step;
}

Form make_steps(const Candidate& candidate, const Fused& fused, const Array& weight, const Array& bias, const ConvSlots& slots,
                                                       const Storage& target) {
  Form steps;
  if (candidate.joining == Joining::preloaded) steps.push_back(make_copy(candidate.plan.target, slots.residual, slots.target));
  auto step = make_step(candidate.desc, candidate.plan, weight, bias, slots.source, slots.target);
  PrimitiveStep& conv = *step;
  steps.push_back(std::move(step));
  conv.reads = {slots.source};
  conv.writes = slots.target;
  if (candidate.joining == Joining::preloaded) {
    conv.reads.push_back(slots.target);
  } else if (candidate.joining == Joining::apart) {
    steps.push_back(make_tail(fused, target, slots.residual, slots.target));
  } else if (slots.residual >= 0) {
    conv.reads.push_back(slots.residual);
    if (!slots.in_place) conv.bind_slot(residual_argument(fused), slots.residual, candidate.plan.target);
  }
  return steps;
}

// All forms. Where nothing is measured the first one is taken: ours of a 1x1 kernel, else oneDNN's direct one.
std::vector<FormPlan> form_plans(Planner& planner, const ConvPlan& plan, const std::vector<Candidate>& candidates, const Fused& fused, const Array& weight, const Array& bias,
                                 const ConvSlots& slots, const Storage& target) {
  std::vector<FormPlan> forms, behind;
  if (const auto functions = functions_of(fused)) {
    const OwnConv own{planner, plan, *functions, weight, bias, slots, planner.storage(slots.source), target};
    forms = pixelwise_forms(own);
    behind = winograd_forms(own);
    for (FormPlan& form : depthwise_forms(own)) behind.push_back(std::move(form));
  }
  for (const Candidate& candidate : candidates)
    forms.push_back({std::string("onednn ") + candidate.desc.impl_info_str(), [&candidate, &fused, weight, bias, slots, target] { return make_steps(candidate, fused, weight, bias, slots, target); }, candidate.joining});
  for (FormPlan& form : behind) forms.push_back(std::move(form));
  return forms;
}

// Which of `count` forms is taken without measuring, if that is known: every form made has its code compiled and its weights
// packed, which is most of what opening a session costs in time and memory.
std::optional<int> known_form(const Planner& planner, int count, const std::string& key) {
  if (count == 1 || !planner.options.tune) return 0;
  const auto known = planner.cache.find(key);
  return known && *known >= 0 && *known < count ? known : std::nullopt;
}

// The fastest form on this CPU, on memory of its own. Slots from `first_scratch` on are the forms' own.
int choose_form(Planner& planner, const std::vector<Form>& forms, const std::string& key, const ConvSlots& slots, size_t first_scratch) {
  const size_t bytes = planner.storage(slots.target).bytes() + 64;
  size_t most = 0;
  for (size_t id = first_scratch; id < planner.slots.size(); ++id) most = std::max(most, planner.slots[id].storage.bytes() + 64);
  Array input(Type::u8, {int64_t(planner.storage(slots.source).bytes() + 64)}), output(Type::u8, {int64_t(bytes)}), added(Type::u8, {int64_t(bytes)}), scratch(Type::u8, {int64_t(most)});
  std::vector<std::byte*> addresses(planner.slots.size(), added.mutable_bytes());
  addresses[size_t(slots.source)] = input.mutable_bytes();
  addresses[size_t(slots.target)] = output.mutable_bytes();
  std::fill(addresses.begin() + ptrdiff_t(first_scratch), addresses.end(), scratch.mutable_bytes());
  const int choice = fastest_of(int(forms.size()), [&](int i) {
    for (const auto& step : forms[size_t(i)])
      if (step->team()) run_parallel([&](int thread, int threads) { step->run(addresses.data(), thread, threads); });
      else step->run(addresses.data(), 0, 1);
  });
  planner.cache.store(key, choice);
  return choice;
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
  if (bias.count() != weight.dim(0)) return planner.refuse("the bias has another number of values than the convolution outputs"), false;

  // Few input channels would mostly fill a block with zeros; oneDNN reads them as they lie.
  const bool first = x[1] < 4;
  const SlotId source = planner.slot(node.inputs[0], first && planner.image_layout == Layout::blocked ? Layout::plain : planner.image_layout, type);
  const Storage target_storage{type, planner.dims(fused.result), planner.image_layout};
  const int add = fused.residual == kNone ? -1 : *std::find_if(fused.nodes.begin(), fused.nodes.end(), [&](int k) { return planner.graph.nodes[size_t(k)].is("Add"); });
  SlotId residual = -1;
  bool in_place = false;
  if (fused.residual != kNone) {
    residual = planner.slot(fused.residual, planner.image_layout, type);
    in_place = !planner.is_input(residual) && !planner.homed(fused.result) && residual != source && planner.last_use(fused.residual, add);
  }
  const ConvPlan plan = plan_conv(planner, node, planner.storage(source), target_storage);
  std::vector<Candidate> candidates = candidates_of(plan, fused, in_place, planner.storage(source), target_storage);
  if (in_place && !candidates.empty() && candidates[0].slow()) {
    // No form updates the residual where it lies.
    in_place = false;
    candidates = candidates_of(plan, fused, in_place, planner.storage(source), target_storage);
  }
  if (candidates.empty()) return planner.refuse("oneDNN has no form for this convolution"), false;
  const SlotId target = in_place ? planner.define_alias(fused.result, target_storage, residual) : planner.define(fused.result, target_storage);

  const ConvSlots conv_slots{source, residual, target, in_place};
  const std::vector<FormPlan> plans = form_plans(planner, plan, candidates, fused, weight, bias, conv_slots, target_storage);
  std::string key = conv_key(planner, node, fused, type);
  for (const FormPlan& form : plans) key += " " + form.name;  // what is remembered is a place among them
  std::vector<Form> forms(plans.size());
  const size_t first_scratch = planner.slots.size();
  const auto known = known_form(planner, int(forms.size()), key);
  for (size_t i = 0; i < forms.size(); ++i)
    if (!known || size_t(*known) == i) forms[i] = plans[i].make();
  const FormPlan& chosen = plans[size_t(known ? *known : choose_form(planner, forms, key, conv_slots, first_scratch))];
  for (int fused_node : fused.nodes) planner.done[size_t(fused_node)] = 1;
  int64_t macs = weight.count() / weight.dim(0);
  for (int64_t extent : target_storage.dims) macs *= extent;
  const std::string result = planner.graph.at(fused.result).name, precision = type == Type::bf16 ? "bf16" : "f32";
  Form& steps = forms[size_t(&chosen - plans.data())];
  const bool apart = chosen.joining == Joining::apart, preloaded = chosen.joining == Joining::preloaded;
  if (preloaded) steps[0]->report = {node.name, "Copy", result, "onednn", precision, "", 0, 0, 0};
  steps[preloaded]->report = {node.name, "Conv" + (apart ? "" : fused.text), result, chosen.name, precision, "", macs, planner.graph.constant(node.inputs[1])->size_bytes(), 0};
  if (apart) steps[1]->report = {node.name, fused.text.substr(1), result, "onednn", precision, "", 0, 0, 0};
  for (auto& step : steps) planner.emit(std::move(step));
  return true;
}

}  // namespace pare
