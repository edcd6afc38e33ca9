#include "train/torch/parameters.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "train/torch/arrays.h"
#include "train/torch/round.h"

namespace pare {

at::Tensor beside(const at::Tensor& scales, const Tensor& tensor) {
  if (scales.numel() == 1) return scales.reshape({});
  if (tensor.group > 0)
    return scales.repeat_interleave(tensor.group, tensor.axis).narrow(tensor.axis, 0, tensor.dims[size_t(tensor.axis)]);
  std::vector<int64_t> dims(tensor.dims.size(), 1);
  dims[size_t(tensor.axis)] = -1;
  return scales.reshape(dims);
}

namespace {

// Integers of at most 16 bits with scales: what is rounded while it is trained.
bool is_affine(const Tensor& tensor) {
  return tensor.codec != nullptr && tensor.parts.size() >= 2 && integer_range(tensor.parts[0].type()).has_value();
}

at::Tensor integers_of(const Parameter& p, const Tensor& tensor) {
  const at::Tensor step = beside(p.start * at::exp(p.log_step), tensor);
  at::Tensor q = round_through(p.value / step);
  if (p.zero.defined()) q = q + beside(p.zero, tensor);
  return at::clamp(q, p.least, p.most);
}

at::Tensor rounded(const Parameter& p, const Tensor& tensor) {
  at::Tensor q = integers_of(p, tensor);
  if (p.zero.defined()) q = q - beside(p.zero, tensor);
  return q * beside(p.start * at::exp(p.log_step), tensor);
}

// The weight's elements before they were encoded, where `floats` has them and they are what was encoded: at most one
// step away in nine of ten places.
at::Tensor before_encoding(const Graph& graph, const Graph* floats, const Node& node, size_t input,
                           at::ScalarType real) {
  if (floats == nullptr) return {};
  const Tensor& tensor = *graph.constant(node.inputs[input]);
  for (const Node& other : floats->nodes) {
    const Tensor* found =
        other.op_type == node.op_type && other.name == node.name ? floats->constant(other.input(input)) : nullptr;
    if (found == nullptr || found->dims != tensor.dims || !is_float(found->type)) continue;
    const at::Tensor latent = tensor_of(found->decode(), real), step = beside(tensor_of(tensor.parts[1], real), tensor);
    const at::Tensor near = at::abs(latent - tensor_of(tensor.decode(), real)) <= step * 1.001;
    if (near.to(at::kDouble).mean().item<double>() > 0.9) return latent;
  }
  return {};
}

// A constant beside an activation that stands for one value a channel: a bias or a scale.
bool is_vector(const Tensor& tensor) {
  const auto wide = std::count_if(tensor.dims.begin(), tensor.dims.end(), [](int64_t extent) { return extent != 1; });
  return wide == 1 && is_float(tensor.type);
}

// Elements that are 0 in `values` are not trained.
void hold_zeros(Parameter& p, const at::Tensor& values) {
  const at::Tensor mask = (values != 0).to(p.value.scalar_type(), false, false, p.value.suggest_memory_format());
  p.mask = at::all(mask != 0).item<bool>() ? at::Tensor() : mask;
}

bool is_normalization(const Node& node) {
  for (const char* name :
       {"BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"})
    if (node.is(name)) return true;
  return false;
}

}  // namespace

void Parameters::add(const Interpreter& interpreter, const Node& node, size_t input, Role role,
                     const TrainingJob& job) {
  const Graph& graph = interpreter.graph();
  const ValueId id = node.input(input);
  const Tensor* tensor = graph.constant(id);
  if (tensor == nullptr || !is_float(tensor->type) || tensor->count() == 0) return;
  if (std::any_of(all.begin(), all.end(), [&](const Parameter& p) { return p.id == id; })) return;
  Parameter p{.id = id, .role = role, .name = graph.at(id).name};
  p.value = interpreter.constant(id).clone();
  if (role == Role::step) {
    if (!at::all(p.value > 0).item<bool>()) return;
    p.start = p.value;
    p.value = at::zeros_like(p.start);
  } else if (role == Role::weight) {
    if (is_affine(*tensor)) {
      p.start = tensor_of(tensor->parts[1], interpreter.real());
      p.log_step = at::zeros_like(p.start).requires_grad_(true);
      if (tensor->parts.size() > 2) p.zero = tensor_of(tensor->parts[2], at::kLong).to(interpreter.real());
      std::tie(p.least, p.most) = *integer_range(tensor->parts[0].type());
      // −128 would be the only number without its opposite, and no other pass makes it.
      if (tensor->parts[0].type() == Type::i8) p.least = -127;
      const at::Tensor latent = before_encoding(graph, job.floats, node, input, interpreter.real());
      if (latent.defined()) {
        hold_zeros(p, at::logical_or(latent != 0, p.value != 0));
        p.value = latent;
      }
    } else {
      hold_zeros(p, p.value);
    }
  }
  p.value.requires_grad_(true);
  all.push_back(std::move(p));
}

Parameters::Parameters(const Interpreter& interpreter, const TrainingJob& job) {
  const Graph& graph = interpreter.graph();
  for (const std::string& name : job.only) {
    const ValueId id = graph.find(name);
    PARE_CHECK(graph.constant(id) != nullptr);
    all.push_back(
        {.id = id, .role = Role::factor, .name = name, .value = interpreter.constant(id).clone().requires_grad_(true)});
  }
  if (!job.only.empty()) return;
  for (const Node& node : graph.nodes) {
    if (node.is("BatchNormalization") && job.options.batch_norm == "train")
      for (size_t i : {3, 4})
        if (graph.constant(node.input(i)) != nullptr) statistics.push_back(node.inputs[i]);
    if (job.matches && job.matches(job.options.freeze, node)) continue;
    const auto layer = [&] {
      add(interpreter, node, 1, Role::weight, job);
      add(interpreter, node, 2, Role::bias, job);
    };
    if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm"))
      layer();
    else if (node.is("PRelu"))
      add(interpreter, node, 1, Role::bias, job);
    else if (node.is("Gather"))
      add(interpreter, node, 0, Role::weight, job);
    else if (node.is("QuantizeLinear"))
      add(interpreter, node, 1, Role::step, job);
    else if (node.is("MatMul")) {
      for (size_t i : {0, 1})
        if (const Tensor* tensor = graph.constant(node.input(i)); tensor != nullptr && tensor->dims.size() >= 2)
          add(interpreter, node, i, Role::weight, job);
    } else if (node.is("Add") || node.is("Mul") || node.is("Sub") || node.is("Div")) {
      for (size_t i : {0, 1})
        if (const Tensor* tensor = graph.constant(node.input(i)); tensor != nullptr && is_vector(*tensor))
          add(interpreter, node, i, Role::bias, job);
    } else if (is_normalization(node)) {
      add(interpreter, node, 1, Role::bias, job);
      add(interpreter, node, 2, Role::bias, job);
    }
  }
}

std::vector<at::Tensor> Parameters::weights() const {
  std::vector<at::Tensor> leaves;
  for (const Parameter& p : all)
    if (p.role != Role::step) leaves.push_back(p.value);
  return leaves;
}

std::vector<at::Tensor> Parameters::steps() const {
  std::vector<at::Tensor> leaves;
  for (const Parameter& p : all) {
    if (p.role == Role::step) leaves.push_back(p.value);
    if (p.log_step.defined()) leaves.push_back(p.log_step);
  }
  return leaves;
}

void Parameters::place(Interpreter& interpreter) const {
  for (const Parameter& p : all) {
    if (p.role == Role::step)
      interpreter.set(p.id, p.start * at::exp(p.value));
    else
      interpreter.set(p.id, p.encoded() ? rounded(p, *interpreter.graph().constant(p.id)) : p.value);
  }
}

void Parameters::keep_zeros() {
  const at::NoGradGuard guard;
  for (Parameter& p : all)
    if (p.mask.defined()) p.value.mul_(p.mask);
}

void Parameters::take_zeros(const Graph& graph) {
  for (Parameter& p : all)
    if (p.role == Role::weight && !p.encoded())
      hold_zeros(p, tensor_of(graph.constant(p.id)->decode(), p.value.scalar_type()));
  keep_zeros();
}

int64_t Parameters::masked() const {
  int64_t count = 0;
  for (const Parameter& p : all)
    if (p.mask.defined()) count += p.mask.numel() - p.mask.sum().item<int64_t>();
  return count;
}

std::vector<at::Tensor> Parameters::live(const Interpreter& interpreter) const {
  std::vector<at::Tensor> state;
  for (const Parameter& p : all) {
    state.push_back(p.value.detach());
    if (p.log_step.defined()) state.push_back(p.log_step.detach());
  }
  for (ValueId id : statistics) state.push_back(interpreter.constant(id));
  return state;
}

std::vector<at::Tensor> Parameters::state(const Interpreter& interpreter) const { return cloned(live(interpreter)); }

void Parameters::restore(const std::vector<at::Tensor>& state, Interpreter& interpreter) {
  const at::NoGradGuard guard;
  size_t i = 0;
  for (Parameter& p : all) {
    p.value.copy_(state.at(i++));
    if (p.role == Role::weight && !p.encoded()) hold_zeros(p, p.value);  // gradual pruning had got so far
    if (p.log_step.defined()) p.log_step.copy_(state.at(i++));
  }
  for (ValueId id : statistics) interpreter.set(id, state.at(i++).clone());
}

namespace {

// Biases of integer layers are stored in units of input scale · weight scale, both of which were trained.
Tensor integer_bias(const Graph& graph, ValueId id, const Tensor& old, const std::vector<float>& values) {
  Tensor tensor = old;
  Array scale = old.parts[1];
  const std::vector<int> producers = graph.producers();
  for (const Node& node : graph.nodes) {
    if (node.input(2) != id || node.inputs[0] == kNone || producers[size_t(node.inputs[0])] < 0) continue;
    const Node& before = graph.nodes[size_t(producers[size_t(node.inputs[0])])];
    const Tensor *input_scale = before.is("DequantizeLinear") ? graph.constant(before.input(1)) : nullptr,
                 *weight = graph.constant(node.inputs[1]);
    if (input_scale == nullptr || input_scale->count() != 1 || weight == nullptr || weight->parts.size() < 2) continue;
    const float x = input_scale->decode().to_floats()[0];
    const std::vector<float> w = weight->parts[1].to_floats();
    auto s = scale.mutable_values<float>();
    for (size_t c = 0; c < s.size(); ++c) s[c] = x * w[w.size() == s.size() ? c : 0];
  }
  Array q(Type::i32, old.dims);
  auto integers = q.mutable_values<int32_t>();
  const auto s = scale.values<float>();
  for (size_t c = 0; c < integers.size(); ++c)
    integers[c] =
        int32_t(std::clamp(std::nearbyint(double(values[c]) / s[s.size() == 1 ? 0 : c]), -2147483647.0, 2147483647.0));
  tensor.parts = {q, scale};
  return tensor;
}

Tensor stored(const Parameter& p, const Tensor& old) {
  const at::NoGradGuard guard;
  if (p.role == Role::step) return Tensor(array_of(p.start * at::exp(p.value), old.type));
  if (p.encoded()) {
    Tensor tensor = old;
    tensor.parts[0] = array_of(integers_of(p, old)).cast(old.parts[0].type());
    tensor.parts[1] = array_of(p.start * at::exp(p.log_step));
    return tensor;
  }
  const Array values = array_of(p.value, Type::f32);
  return old.plain() ? Tensor(values.cast(old.type)) : old.codec->encode(values, old.axis, old.group);
}

bool is_integer_bias(const Tensor& tensor) {
  return tensor.codec != nullptr && tensor.parts.size() >= 2 && tensor.parts[0].type() == Type::i32;
}

}  // namespace

int Parameters::write(const Interpreter& interpreter, Graph& graph) const {
  const auto replace = [&](ValueId id, Tensor tensor) {
    graph.at(id).constant = std::make_shared<const Tensor>(std::move(tensor));
  };
  for (const Parameter& p : all)
    if (!is_integer_bias(*graph.constant(p.id))) replace(p.id, stored(p, *graph.constant(p.id)));
  // Behind the scales they are made of.
  for (const Parameter& p : all)
    if (const Tensor& old = *graph.constant(p.id); is_integer_bias(old))
      replace(p.id, integer_bias(graph, p.id, old, array_of(p.value, Type::f32).to_floats()));
  for (ValueId id : statistics) replace(id, Tensor(array_of(interpreter.constant(id), graph.constant(id)->type)));
  return int(all.size() + statistics.size());
}

}  // namespace pare
