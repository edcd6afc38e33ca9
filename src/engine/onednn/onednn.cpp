#include "engine/onednn/onednn.h"

#include <algorithm>
#include <cstring>

#include "graph/op.h"

namespace pare {

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& cpu_stream() {
  static dnnl::stream stream(cpu_engine());
  return stream;
}

dnnl::memory::data_type data_type(Type type) {
  using T = dnnl::memory::data_type;
  switch (type) {
    case Type::f32: return T::f32;
    case Type::bf16: return T::bf16;
    case Type::i32: return T::s32;
    case Type::i8: return T::s8;
    case Type::u8: return T::u8;
    default: return T::undef;
  }
}

dnnl::memory::desc memory_desc(const Storage& storage) {
  using Tag = dnnl::memory::format_tag;
  static const Tag plain[] = {Tag::a, Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  dnnl::memory::dims dims(storage.dims.begin(), storage.dims.end());
  if (dims.empty()) dims = {1};
  PARE_CHECK(dims.size() <= 5 && storage.layout != Layout::lanes);
  Tag tag = plain[dims.size()];
  if (storage.layout == Layout::channels_last) tag = Tag::acdb;
  if (storage.layout == Layout::blocked) tag = channel_block() == 16 ? Tag::aBcd16b : Tag::aBcd8b;
  return {dims, data_type(storage.type), tag};
}

void PrimitiveStep::bind_slot(int argument, SlotId slot, const dnnl::memory::desc& desc) {
  dnnl::memory memory(desc, cpu_engine(), nullptr);
  arguments_[argument] = memory;
  bound_.emplace_back(argument, slot, memory);
}

void PrimitiveStep::run(std::byte* const* slots, int, int) {
  for (auto& [argument, slot, memory] : bound_) memory.set_data_handle(slots[slot]);
  primitive_.execute(cpu_stream(), arguments_);
}

dnnl::memory constant_memory(const dnnl::memory::desc& desc, const Array& values, const dnnl::memory::dims& as) {
  using Tag = dnnl::memory::format_tag;
  static const Tag plain[] = {Tag::a, Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  const dnnl::memory::desc row_major(as, dnnl::memory::data_type::f32, plain[as.size()]);
  const Array floats = values.cast(Type::f32);
  dnnl::memory source(row_major, cpu_engine(), const_cast<std::byte*>(floats.bytes()));
  dnnl::memory target(desc, cpu_engine());
  dnnl::reorder(source, target).execute(cpu_stream(), source, target);
  cpu_stream().wait();
  return target;
}

std::unique_ptr<Step> make_conversion(const Storage& from, const Storage& to, SlotId source, SlotId target) {
  if (from.layout == Layout::lanes || to.layout == Layout::lanes) return make_lanes_conversion(from, to, source, target);
  if (data_type(from.type) == dnnl::memory::data_type::undef || data_type(to.type) == dnnl::memory::data_type::undef || from.dims.size() > 5)
    throw std::logic_error("no conversion from " + std::string(type_text(from.type)) + " to " + std::string(type_text(to.type)));
  auto step = std::make_unique<PrimitiveStep>();
  const auto a = memory_desc(from), b = memory_desc(to);
  step->set(dnnl::reorder(dnnl::reorder::primitive_desc(cpu_engine(), a, cpu_engine(), b)));
  step->bind_slot(DNNL_ARG_FROM, source, a);
  step->bind_slot(DNNL_ARG_TO, target, b);
  step->reads = {source};
  step->writes = target;
  step->report = {"", "Reorder", "", "onednn reorder", std::string(type_text(to.type)), "", 0, 0, 0};
  return step;
}

std::optional<Fused::Activation> activation_of(const Planner& planner, const Node& node) {
  using A = dnnl::algorithm;
  auto bound = [&](size_t input, const char* key, float fallback) {
    const Tensor* tensor = planner.graph.constant(node.input(input));
    if (tensor != nullptr && tensor->count() == 1) return tensor->decode().to_floats()[0];
    return node.has(key) ? node.real(key, fallback) : fallback;
  };
  if (node.is("Relu")) return Fused::Activation{A::eltwise_relu, 0, 0};
  if (node.is("LeakyRelu")) return Fused::Activation{A::eltwise_relu, node.real("alpha", 0.01f), 0};
  if (node.is("Clip")) {
    for (size_t i = 1; i < 3; ++i)
      if (node.input(i) != kNone && planner.graph.constant(node.input(i)) == nullptr) return std::nullopt;
    return Fused::Activation{A::eltwise_clip, bound(1, "min", -3.402823466e38f), bound(2, "max", 3.402823466e38f)};
  }
  // One exponent or slope for all elements.
  const auto lone = [&]() -> std::optional<float> {
    const Tensor* tensor = planner.graph.constant(node.input(1));
    return tensor != nullptr && tensor->count() == 1 ? std::optional(tensor->decode().to_floats()[0]) : std::nullopt;
  };
  if (node.is("PRelu") && lone()) return Fused::Activation{A::eltwise_relu, *lone(), 0};
  if (node.is("Pow") && lone()) return *lone() == 2 ? Fused::Activation{A::eltwise_square, 0, 0} : Fused::Activation{A::eltwise_pow, 1, *lone()};
  if (node.is("Sigmoid")) return Fused::Activation{A::eltwise_logistic, 0, 0};
  if (node.is("Tanh")) return Fused::Activation{A::eltwise_tanh, 0, 0};
  if (node.is("Elu")) return Fused::Activation{A::eltwise_elu, node.real("alpha", 1), 0};
  if (node.is("Exp")) return Fused::Activation{A::eltwise_exp, 0, 0};
  if (node.is("Abs")) return Fused::Activation{A::eltwise_abs, 0, 0};
  if (node.is("Swish")) return Fused::Activation{A::eltwise_swish, node.real("alpha", 1), 0};
  if (node.is("Gelu")) return Fused::Activation{node.text("approximate", "none") == "tanh" ? A::eltwise_gelu_tanh : A::eltwise_gelu_erf, 0, 0};
  if (node.is("Mish")) return Fused::Activation{A::eltwise_mish, 0, 0};
  if (node.is("Sqrt")) return Fused::Activation{A::eltwise_sqrt, 0, 0};
  if (node.is("Neg")) return Fused::Activation{A::eltwise_linear, -1, 0};
  if (node.is("Softplus")) return Fused::Activation{A::eltwise_soft_relu, 0, 0};
  if (node.is("HardSwish")) return Fused::Activation{A::eltwise_hardswish, 0, 0};
  return std::nullopt;
}

Fused fuse_behind(const Planner& planner, ValueId value, bool allow_residual) {
  Fused fused;
  fused.result = value;
  for (;;) {
    const int next = planner.only_consumer(fused.result);
    if (next < 0) return fused;
    const Node& node = planner.graph.nodes[size_t(next)];
    if (allow_residual && fused.residual == kNone && node.is("Add")) {
      const ValueId other = node.inputs[0] == fused.result ? node.inputs[1] : node.inputs[0];
      // Its other operand must be there already, in the same shape; if it comes later, its own producer fuses the sum.
      if (other == fused.result || planner.graph.constant(other) != nullptr || !planner.existing(other) || planner.dims(other) != planner.dims(fused.result)) return fused;
      fused.residual = other;
      for (auto& activation : fused.activations) activation.before_residual = true;
    } else if (const auto activation = activation_of(planner, node); activation && fused.activations.size() < 2) {
      fused.activations.push_back(*activation);
    } else {
      return fused;
    }
    fused.nodes.push_back(next);
    fused.text += "+" + node.op_type;
    fused.result = node.outputs[0];
  }
}

dnnl::post_ops post_ops_of(const Fused& fused, bool in_place, const dnnl::memory::desc& residual) {
  dnnl::post_ops ops;
  auto add = [&](bool before) {
    for (const auto& a : fused.activations)
      if (a.before_residual == before) ops.append_eltwise(1.f, a.algorithm, a.alpha, a.beta);
  };
  add(true);
  if (fused.residual != kNone && in_place) ops.append_sum(1.f);
  else if (fused.residual != kNone) ops.append_binary(dnnl::algorithm::binary_add, residual);
  add(false);
  return ops;
}

namespace {

std::optional<FloatFunction> function_of(const Fused::Activation& activation) {
  using A = dnnl::algorithm;
  if (activation.algorithm == A::eltwise_relu) return activation.alpha == 0 ? FloatFunction{FloatFunction::limits, 0} : FloatFunction{FloatFunction::leaky, activation.alpha};
  if (activation.algorithm == A::eltwise_clip) return FloatFunction{FloatFunction::limits, activation.alpha, activation.beta};
  if (activation.algorithm == A::eltwise_logistic) return FloatFunction{FloatFunction::sigmoid};
  if (activation.algorithm == A::eltwise_swish) return FloatFunction{FloatFunction::swish, activation.alpha};
  if (activation.algorithm == A::eltwise_gelu_erf) return FloatFunction{FloatFunction::gelu};
  return std::nullopt;
}

}  // namespace

std::optional<FloatFunctions> functions_of(const Fused& fused) {
  FloatFunctions functions;
  for (const Fused::Activation& activation : fused.activations) {
    const auto function = function_of(activation);
    FloatFunction& place = activation.before_residual ? functions.first : functions.last;
    if (!function || !place.none()) return std::nullopt;
    place = *function;
  }
  return functions;
}

int residual_argument(const Fused& fused) {
  const auto before = std::count_if(fused.activations.begin(), fused.activations.end(), [](const auto& a) { return a.before_residual; });
  return DNNL_ARG_ATTR_MULTIPLE_POST_OP(int(before)) | DNNL_ARG_SRC_1;
}

}  // namespace pare
