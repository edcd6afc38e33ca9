#include <algorithm>
#include <cmath>

#include "engine/integer/integer.h"
#include "graph/op.h"

namespace pare {

bool is_eight_bit(Type type) { return type == Type::u8 || type == Type::i8; }

namespace {

// Limits of a ReLU or a Clip with constant bounds.
std::optional<std::pair<float, float>> limits(const Planner& planner, const Node& node) {
  const float infinity = std::numeric_limits<float>::infinity();
  if (node.is("Relu")) return std::pair(0.f, infinity);
  if (!node.is("Clip")) return std::nullopt;
  auto bound = [&](size_t input, const char* key, float fallback) -> std::optional<float> {
    if (node.input(input) == kNone) return node.has(key) ? node.real(key, fallback) : fallback;
    const Tensor* tensor = planner.graph.constant(node.inputs[input]);
    return tensor && tensor->count() == 1 ? std::optional(tensor->decode().to_floats()[0]) : std::nullopt;
  };
  const auto low = bound(1, "min", -infinity), high = bound(2, "max", infinity);
  return low && high ? std::optional(std::pair(*low, *high)) : std::nullopt;
}

// The other operand of an Add, if it is an integer value that exists already.
std::optional<Planner::Quantized> residual_of(const Planner& planner, const Node& add, ValueId own) {
  const ValueId other = add.inputs[0] == own ? add.inputs[1] : add.inputs[0];
  if (other == own) return std::nullopt;
  const auto q = planner.dequantized(other);
  if (!q || !planner.existing(q->value) || planner.dims(other) != planner.dims(own)) return std::nullopt;
  return q;
}

std::optional<float> number(const Planner& planner, ValueId id) {
  const Tensor* tensor = planner.graph.constant(id);
  return tensor && tensor->count() == 1 ? std::optional(tensor->decode().to_floats()[0]) : std::nullopt;
}

// The function of one node alone.
std::optional<Int8Activation> activation_of(const Planner& planner, const Node& node) {
  using A = Int8Activation;
  if (node.is("LeakyRelu")) return A{A::leaky_relu, node.real("alpha", 0.01f)};
  if (node.is("Sigmoid")) return A{A::sigmoid};
  if (node.is("HardSigmoid")) return A{A::hard_sigmoid, node.real("alpha", 0.2f), node.real("beta", 0.5f)};
  if (node.is("Gelu")) return A{node.text("approximate", "none") == "tanh" ? A::gelu_tanh : A::gelu};
  if (node.is("HardSwish")) return A{A::hard_swish, 1.0f / 6, 0.5f};
  if (node.is("Swish")) return A{A::swish, node.real("alpha", 1)};
  if (node.is("PRelu"))
    if (const auto slope = number(planner, node.input(1))) return A{A::leaky_relu, *slope};
  return std::nullopt;
}

}  // namespace

std::optional<FloatActivation> float_activation(const Planner& planner, ValueId x) {
  const auto& readers = planner.consumers[size_t(x)];
  if (planner.pinned(x) || readers.empty() || readers.size() > 2) return std::nullopt;
  const Node& node = planner.graph.nodes[size_t(readers[0])];
  const auto own = activation_of(planner, node);
  if (!own || node.inputs[0] != x) return std::nullopt;
  if (readers.size() == 1) return FloatActivation{{readers[0]}, *own, "+" + node.op_type};
  // x · sigmoid(x): both read x, and the product alone reads the gate.
  const Node& product = planner.graph.nodes[size_t(readers[1])];
  const bool gate = own->kind == Int8Activation::sigmoid || own->kind == Int8Activation::hard_sigmoid;
  if (!gate || !product.is("Mul") || planner.only_consumer(node.outputs[0]) != readers[1]) return std::nullopt;
  Int8Activation gated = *own;
  gated.kind = own->kind == Int8Activation::sigmoid ? Int8Activation::swish : Int8Activation::hard_swish;
  return FloatActivation{{readers[0], readers[1]}, gated, "+" + node.op_type + "+Mul"};
}

namespace {

// The table behind a quantized result, where that is all that reads it.
void take_table(const Planner& planner, IntegerChain& chain) {
  const auto behind = table_function(planner, chain.result, -1, false);
  if (!behind) return;
  for (int n : behind->nodes) {
    const Node& node = planner.graph.nodes[size_t(n)];
    chain.nodes.push_back(n);
    if (!node.is("QuantizeLinear") && !node.is("DequantizeLinear")) chain.text += "+" + node.op_type;
  }
  chain.table = behind->table;
  chain.result = behind->out.value;
  chain.type = behind->out.type;
}

}  // namespace

IntegerChain integer_chain(const Planner& planner, ValueId value, bool activations) {
  IntegerChain chain;
  chain.result = value;
  auto node_at = [&](int n) -> const Node& { return planner.graph.nodes[size_t(n)]; };
  auto take = [&](int n) {
    chain.nodes.push_back(n);
    if (!node_at(n).is("QuantizeLinear") && !node_at(n).is("DequantizeLinear")) chain.text += "+" + node_at(n).op_type;
    chain.result = node_at(n).outputs[0];
  };
  auto clamp = [&](float& low, float& high, const std::pair<float, float>& by) {
    low = std::min(std::max(low, by.first), by.second);
    high = std::min(std::max(high, by.first), by.second);
  };
  auto sum = [&](const std::optional<Planner::Quantized>& with) {
    chain.residual = with;
    std::swap(chain.first, chain.last);
  };
  for (;;) {
    const bool limited = std::isfinite(chain.low) || std::isfinite(chain.high);
    const bool free = activations && !limited && chain.last.kind == Int8Activation::none;
    if (const auto activation = free ? float_activation(planner, chain.result) : std::nullopt) {
      // A Gelu is exact enough for 8 bits only.
      const bool rough = activation->function.kind == Int8Activation::gelu || activation->function.kind == Int8Activation::gelu_tanh;
      if (rough && !planner.quantized_by(planner.only_consumer(node_at(activation->nodes.back()).outputs[0]))) return chain;
      chain.last = activation->function;
      chain.text += activation->text;
      chain.nodes.insert(chain.nodes.end(), activation->nodes.begin(), activation->nodes.end());
      chain.result = node_at(activation->nodes.back()).outputs[0];
      continue;
    }
    const int next = planner.only_consumer(chain.result);
    if (next < 0) return chain;
    const Node& node = node_at(next);
    if (const auto by = limits(planner, node)) {
      clamp(chain.low, chain.high, *by);
      take(next);
    } else if (node.is("Add") && !chain.residual && !limited) {
      const auto residual = residual_of(planner, node, chain.result);
      if (!residual) return chain;
      sum(residual);
      take(next);
    } else if (const auto q = planner.quantized_by(next)) {
      // Q → DQ → Add in front of an operand that exists: the rounding in between is kept, the traffic is not.
      const int dq = planner.only_consumer(q->value);
      const int add = dq >= 0 && !chain.residual && planner.dequantized(node_at(dq).outputs[0]) ? planner.only_consumer(node_at(dq).outputs[0]) : -1;
      const auto residual = add >= 0 && node_at(add).is("Add") ? residual_of(planner, node_at(add), node_at(dq).outputs[0]) : std::nullopt;
      take(next);
      if (!residual) {
        chain.out = q;
        chain.type = q->type;
        if (activations) take_table(planner, chain);
        return chain;
      }
      chain.mid = q;
      sum(residual);
      std::swap(chain.low, chain.mid_low);
      std::swap(chain.high, chain.mid_high);
      take(dq);
      take(add);
    } else {
      return chain;
    }
  }
}

IntegerLimits limits_of(const Planner::Quantized& q, float low, float high) {
  auto position = [&](float bound) { return std::clamp(std::nearbyint(double(bound) / q.scale) + q.zero, double(q.least), double(q.most)); };
  return {std::isfinite(low) ? int(position(low)) : q.least, std::isfinite(high) ? int(position(high)) : q.most};
}

Int8Epilogue epilogue_of(const IntegerChain& chain, std::vector<float>& scales) {
  Int8Epilogue e;
  const double out_scale = chain.out ? chain.out->scale : 1;
  // A LeakyRelu of what is scaled is the scaled LeakyRelu; other functions want real values.
  const bool real = chain.last.kind != Int8Activation::none && chain.last.kind != Int8Activation::leaky_relu;
  const double sum_scale = real ? 1 : out_scale, after = chain.mid ? chain.mid->scale : sum_scale;
  e.first = chain.first;
  e.first.scale = float(1 / after);
  e.first.coarse = chain.mid || chain.out;
  e.last = chain.last;
  e.last.scale = real ? float(1 / out_scale) : 1;
  e.last.coarse = chain.out.has_value();  // below a hundredth of a step, where a float is wanted nothing is lost
  if (chain.first.kind == Int8Activation::none)
    for (float& scale : scales) scale = float(double(scale) / after);
  if (chain.mid) {
    const IntegerLimits l = limits_of(*chain.mid, chain.mid_low, chain.mid_high);
    e.has_mid = true;
    e.mid_scale = float(chain.mid->scale / sum_scale);
    e.mid_zero = chain.mid->zero;
    e.mid_lo = l.low;
    e.mid_hi = l.high;
  }
  if (chain.residual) {
    e.residual_signed = chain.residual->type == Type::i8;
    e.residual_zero = chain.residual->zero;
    e.residual_scale = float(chain.residual->scale / sum_scale);
  }
  e.type = Int8Output::f32;
  e.float_lo = chain.low;
  e.float_hi = chain.high;
  if (chain.out) {
    const IntegerLimits l = limits_of(*chain.out, chain.low, chain.high);
    e.type = chain.out->type == Type::u8 ? Int8Output::u8 : Int8Output::s8;
    e.out_zero = chain.out->zero;
    e.out_lo = l.low;
    e.out_hi = l.high;
    e.table = chain.table ? chain.table->data() : nullptr;
  }
  return e;
}

bool holds_bytes(const Tensor* weight) {
  if (weight == nullptr || weight->plain() || weight->group != 0) return false;
  const Type type = weight->parts[0].type();
  return type == Type::i8 || type == Type::i4 || type == Type::i2;
}

std::optional<IntegerWeights> integer_weights(Planner& planner, const Node& node, int axis, float input_scale, ValueId bias_id) {
  const Tensor* weight = planner.graph.constant(node.input(1));
  if (!holds_bytes(weight)) return std::nullopt;
  if (weight->parts.size() > 2) return planner.refuse("its weights have a zero point"), std::nullopt;
  const int64_t outputs = weight->dims[size_t(axis)];
  if (weight->parts[1].count() != 1 && (weight->axis != axis || weight->parts[1].count() != outputs))
    return planner.refuse("its weights' scales do not run along the output channels"), std::nullopt;
  IntegerWeights w;
  w.weights = weight->parts[0].aligned().cast(Type::i8);  // kernels multiply bytes
  w.scales = weight->parts[1].to_floats();
  if (w.scales.size() == 1) w.scales.assign(size_t(outputs), w.scales[0]);
  for (float& scale : w.scales) scale *= input_scale;
  w.bias.assign(size_t(outputs), 0);
  if (bias_id == kNone) return w;
  const Tensor* bias = planner.graph.constant(bias_id);
  if (bias == nullptr || bias->count() != outputs) return planner.refuse("its bias is no constant per channel"), std::nullopt;
  // An int32 bias in these units reads back exactly; any other is rounded to them.
  const std::vector<float> values = bias->decode().to_floats();
  const bool exact = !bias->plain() && bias->parts[0].type() == Type::i32 && bias->parts.size() == 2;
  const std::vector<int64_t> stored = exact ? bias->parts[0].to_integers() : std::vector<int64_t>();
  const std::vector<float> units = exact ? bias->parts[1].to_floats() : std::vector<float>();
  for (size_t c = 0; c < values.size(); ++c) {
    const double ratio = double(values[c]) / w.scales[c];
    if (!(std::abs(ratio) < 2.0e9)) return planner.refuse("its bias does not fit 32 bits"), std::nullopt;
    const bool same = exact && std::abs(units[units.size() == 1 ? 0 : c] / w.scales[c] - 1) < 1e-5;
    w.bias[c] = same ? int32_t(stored[c]) : int32_t(std::nearbyint(ratio));
  }
  return w;
}

}  // namespace pare
