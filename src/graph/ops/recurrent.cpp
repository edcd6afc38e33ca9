// RNN, GRU and LSTM: one walk over directions, samples and time; a cell says what a step does.
#include "graph/ops/ops.h"

namespace pare {
namespace {

// Activations by name, with the defaults of the standard.
struct Activation {
  std::string name;
  double alpha = 0, beta = 0;
  double operator()(double x) const {
    if (name == "Sigmoid") return 1 / (1 + std::exp(-x));
    if (name == "Tanh") return std::tanh(x);
    if (name == "Relu") return std::max(x, 0.0);
    if (name == "Affine") return alpha * x + beta;
    if (name == "LeakyRelu") return x >= 0 ? x : alpha * x;
    if (name == "ThresholdedRelu") return x > alpha ? x : 0;
    if (name == "ScaledTanh") return alpha * std::tanh(beta * x);
    if (name == "HardSigmoid") return std::clamp(alpha * x + beta, 0.0, 1.0);
    if (name == "Elu") return x >= 0 ? x : alpha * std::expm1(x);
    if (name == "Softsign") return x / (1 + std::abs(x));
    return std::log1p(std::exp(x));  // Softplus
  }
};

struct DefaultActivation {
  const char* name;
  double alpha, beta;
};
constexpr DefaultActivation kActivations[] = {{"Sigmoid", 0, 0}, {"Tanh", 0, 0}, {"Relu", 0, 0}, {"Affine", 1, 0}, {"LeakyRelu", 0.01, 0},
                                              {"ThresholdedRelu", 1, 0}, {"ScaledTanh", 1, 1}, {"HardSigmoid", 0.2, 0.5}, {"Elu", 1, 0},
                                              {"Softsign", 0, 0}, {"Softplus", 0, 0}};

// What one direction of one layer works with. Gates lie one after the other, `hidden` rows each.
struct Layer {
  int64_t input = 0, hidden = 0;
  const float *w = nullptr, *r = nullptr, *peephole = nullptr;   // [gates·hidden, input], [gates·hidden, hidden], [3·hidden]
  std::vector<double> wb, rb;                                    // biases of both products, zero where there are none
  std::vector<Activation> activations;
  double clip = 0;
  bool linear_before_reset = false, input_forget = false;

  double bound(double x) const { return clip > 0 ? std::clamp(x, -clip, clip) : x; }
  double from_input(int64_t row, const float* x) const {
    double sum = wb[size_t(row)];
    for (int64_t i = 0; i < input; ++i) sum += double(w[row * input + i]) * x[i];
    return sum;
  }
  double from_state(int64_t row, const std::vector<double>& h) const {
    double sum = rb[size_t(row)];
    for (int64_t i = 0; i < hidden; ++i) sum += double(r[row * hidden + i]) * h[size_t(i)];
    return sum;
  }
};

using State = std::vector<double>;

void step_rnn(const Layer& l, const float* x, State& h, State&) {
  State next(h.size());
  for (int64_t i = 0; i < l.hidden; ++i) next[size_t(i)] = l.activations[0](l.bound(l.from_input(i, x) + l.from_state(i, h)));
  h = next;
}

// Gates z (update), r (reset), h (candidate).
void step_gru(const Layer& l, const float* x, State& h, State&) {
  const int64_t n = l.hidden;
  State update(h.size()), reset(h.size()), kept(h.size()), next(h.size());
  for (int64_t i = 0; i < n; ++i) {
    update[size_t(i)] = l.activations[0](l.bound(l.from_input(i, x) + l.from_state(i, h)));
    reset[size_t(i)] = l.activations[0](l.bound(l.from_input(n + i, x) + l.from_state(n + i, h)));
    kept[size_t(i)] = reset[size_t(i)] * h[size_t(i)];
  }
  for (size_t i = 0; i < h.size(); ++i) {
    const int64_t row = 2 * n + int64_t(i);
    const double before = l.linear_before_reset ? reset[i] * l.from_state(row, h) : l.from_state(row, kept);
    const double candidate = l.activations[1](l.bound(l.from_input(row, x) + before));
    next[i] = (1 - update[i]) * candidate + update[i] * h[i];
  }
  h = next;
}

// Gates i (input), o (output), f (forget), c (cell); peepholes in the order i, o, f.
void step_lstm(const Layer& l, const float* x, State& h, State& c) {
  const int64_t n = l.hidden;
  State next(h.size());
  auto gate = [&](int64_t number, int64_t i) { return l.from_input(number * n + i, x) + l.from_state(number * n + i, h); };
  auto peep = [&](int64_t number, int64_t i, double cell) { return l.peephole != nullptr ? l.peephole[number * n + i] * cell : 0; };
  for (int64_t i = 0; i < n; ++i) {
    double& cell = c[size_t(i)];
    const double input = l.activations[0](l.bound(gate(0, i) + peep(0, i, cell)));
    const double forget = l.input_forget ? 1 - input : l.activations[0](l.bound(gate(2, i) + peep(2, i, cell)));
    cell = forget * cell + input * l.activations[1](l.bound(gate(3, i)));
    next[size_t(i)] = l.activations[0](l.bound(gate(1, i) + peep(1, i, cell))) * l.activations[2](cell);
  }
  h = next;
}

struct Cell {
  int64_t gates;
  std::vector<std::string> activations;
  void (*step)(const Layer&, const float*, State&, State&);
};
const Cell kRnn{1, {"Tanh"}, step_rnn}, kGru{3, {"Sigmoid", "Tanh"}, step_gru}, kLstm{4, {"Sigmoid", "Tanh", "Tanh"}, step_lstm};

const Cell& cell_of(const Node& node) { return node.op_type == "LSTM" ? kLstm : node.op_type == "GRU" ? kGru : kRnn; }

int64_t directions_of(const Node& node) {
  const std::string direction = node.text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") throw Error(node.where(), "has direction '" + direction + "'");
  return direction == "bidirectional" ? 2 : 1;
}

std::vector<Activation> activations_of(const Node& node, const Cell& cell, int64_t direction, int64_t directions) {
  auto names = node.get<std::vector<std::string>>("activations", {});
  const size_t each = cell.activations.size();
  if (names.empty())
    for (int64_t d = 0; d < directions; ++d) names.insert(names.end(), cell.activations.begin(), cell.activations.end());
  if (names.size() != each * size_t(directions)) throw Error(node.where(), "has " + std::to_string(names.size()) + " activations, expected " + std::to_string(each * size_t(directions)));
  const auto alphas = node.get<std::vector<float>>("activation_alpha", {}), betas = node.get<std::vector<float>>("activation_beta", {});
  std::vector<Activation> all;
  size_t alpha = 0, beta = 0;  // given values belong to the activations that have parameters, in their order
  for (const std::string& name : names) {
    const auto* known = std::find_if(std::begin(kActivations), std::end(kActivations), [&](const auto& a) { return name == a.name; });
    if (known == std::end(kActivations)) throw Error(node.where(), "has the unknown activation '" + name + "'");
    Activation one{name, known->alpha, known->beta};
    if ((known->alpha != 0) && alpha < alphas.size()) one.alpha = alphas[alpha++];
    if ((known->beta != 0 || name == "Affine") && beta < betas.size()) one.beta = betas[beta++];
    all.push_back(one);
  }
  return {all.begin() + long(each) * direction, all.begin() + long(each) * (direction + 1)};
}

// Everything as [direction][batch][time], whatever the layout of the arrays.
struct Extents {
  int64_t length, batch, input, hidden, directions;
  bool batch_first;
};

Extents check_recurrent(const Forward& f, const Cell& cell) {
  for (size_t i : {0, 1, 2}) check_rank(f, i, 3);
  const bool batch_first = f.node.integer("layout", 0) != 0;
  const Dims& x = f.in(0).dims();
  Extents e{x[batch_first ? 1 : 0], x[batch_first ? 0 : 1], x[2], f.in(2).dim(2), directions_of(f.node), batch_first};
  const Dims states = batch_first ? Dims{e.batch, e.directions, e.hidden} : Dims{e.directions, e.batch, e.hidden};
  check_dims(f, 1, {e.directions, cell.gates * e.hidden, e.input});
  check_dims(f, 2, {e.directions, cell.gates * e.hidden, e.hidden});
  if (f.has(3)) check_dims(f, 3, {e.directions, 2 * cell.gates * e.hidden});
  if (f.has(4)) check_dims(f, 4, {e.batch});
  for (size_t i : {5, 6})
    if (f.has(i)) check_dims(f, i, states);
  if (f.has(7)) check_dims(f, 7, {e.directions, 3 * e.hidden});
  return e;
}

void forward_recurrent(Forward& f) {
  const Cell& cell = cell_of(f.node);
  const Extents e = check_recurrent(f, cell);
  const int64_t n = e.hidden, rows = cell.gates * n;
  auto floats = [&](size_t i) { return f.has(i) ? f.in(i).to_floats() : std::vector<float>(); };
  const auto x = floats(0), w = floats(1), r = floats(2), b = floats(3), h0 = floats(5), c0 = floats(6), p = floats(7);
  const auto lengths = f.has(4) ? f.in(4).to_integers() : std::vector<int64_t>(size_t(e.batch), e.length);
  auto state_at = [&](int64_t d, int64_t s) { return (e.batch_first ? s * e.directions + d : d * e.batch + s) * n; };
  auto result_at = [&](int64_t d, int64_t s, int64_t t) { return (e.batch_first ? (s * e.length + t) * e.directions + d : (t * e.directions + d) * e.batch + s) * n; };
  const Dims states = e.batch_first ? Dims{e.batch, e.directions, n} : Dims{e.directions, e.batch, n};
  Array y(Type::f32, e.batch_first ? Dims{e.batch, e.length, e.directions, n} : Dims{e.length, e.directions, e.batch, n}), last_h(Type::f32, states), last_c(Type::f32, states);
  for (int64_t d = 0; d < e.directions; ++d) {
    Layer layer{e.input, n, w.data() + d * rows * e.input, r.data() + d * rows * n, p.empty() ? nullptr : p.data() + d * 3 * n, std::vector<double>(size_t(rows)), std::vector<double>(size_t(rows)),
                activations_of(f.node, cell, d, e.directions), f.node.real("clip", 0), f.node.integer("linear_before_reset", 0) != 0, f.node.integer("input_forget", 0) != 0};
    for (int64_t i = 0; !b.empty() && i < rows; ++i) {
      layer.wb[size_t(i)] = b[size_t(d * 2 * rows + i)];
      layer.rb[size_t(i)] = b[size_t(d * 2 * rows + rows + i)];
    }
    const bool backwards = d == 1 || f.node.text("direction", "forward") == "reverse";
    for (int64_t s = 0; s < e.batch; ++s) {
      State h(size_t(n), 0), c(size_t(n), 0);
      if (!h0.empty()) std::copy_n(h0.begin() + state_at(d, s), n, h.begin());
      if (!c0.empty()) std::copy_n(c0.begin() + state_at(d, s), n, c.begin());
      const int64_t length = std::clamp<int64_t>(lengths[size_t(s)], 0, e.length);
      for (int64_t k = 0; k < length; ++k) {
        const int64_t t = backwards ? length - 1 - k : k;
        cell.step(layer, x.data() + (e.batch_first ? s * e.length + t : t * e.batch + s) * e.input, h, c);
        std::copy(h.begin(), h.end(), y.mutable_values<float>().begin() + result_at(d, s, t));
      }
      std::copy(h.begin(), h.end(), last_h.mutable_values<float>().begin() + state_at(d, s));
      std::copy(c.begin(), c.end(), last_c.mutable_values<float>().begin() + state_at(d, s));
    }
  }
  const Array results[] = {y, last_h, last_c};
  for (size_t i = 0; i < f.outputs.size(); ++i) float_out(f, i, results[i]);
}

void infer_recurrent(Inference& in) {
  for (size_t i : {0, 1, 2}) in.set_type(i, in.type(0));
  const Shape *x = in.shape(0), *r = in.shape(2);
  if (x == nullptr || r == nullptr) return;
  if (x->size() != 3 || r->size() != 3) in.fail("takes inputs of 3 axes, has " + shape_text(*x) + " and " + shape_text(*r));
  const Dim directions{directions_of(in.node()), ""}, hidden = (*r)[2];
  const bool batch_first = in.node().integer("layout", 0) != 0;
  const Dim &first = (*x)[0], &second = (*x)[1];
  in.set(0, in.type(0), batch_first ? Shape{first, second, directions, hidden} : Shape{first, directions, second, hidden});
  for (size_t i : {1, 2}) in.set(i, in.type(0), batch_first ? Shape{first, directions, hidden} : Shape{directions, second, hidden});
}

int64_t macs_recurrent(const Node& node, std::span<const Dims> inputs, std::span<const Dims>) {
  const Dims &x = inputs[0], &r = inputs[2];
  return x[0] * x[1] * directions_of(node) * r[1] * (x[2] + r[2]);
}

}  // namespace

const Op op_rnn{"RNN", "", 3, 6, 0, 2, infer_recurrent, forward_recurrent, macs_recurrent, "recurrent layer", 1};
const Op op_gru{"GRU", "", 3, 6, 0, 2, infer_recurrent, forward_recurrent, macs_recurrent, "gated recurrent layer", 1};
const Op op_lstm{"LSTM", "", 3, 8, 0, 3, infer_recurrent, forward_recurrent, macs_recurrent, "long short-term memory layer", 1};

}  // namespace pare
