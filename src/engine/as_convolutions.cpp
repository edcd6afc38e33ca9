// Layers that are convolutions over two axes in another guise are written as such on the engine's copy: so they get its
// kernels, what they fuse, and its measured forms.
#include <cmath>

#include "codecs/codecs.h"
#include "engine/integer/integer.h"
#include "graph/fuse.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }
int64_t floor_div(int64_t a, int64_t b) { return -ceil_div(-a, b); }

// In bf16 where `like` is stored so, that the layer goes on computing in it.
Tensor stored_like(const Tensor& like, const Array& values) {
  return like.codec == &codec_bfloat16 ? codec_bfloat16.encode(values, 0, 0) : Tensor(values);
}

ValueId add_integers(Graph& graph, const std::string& name, const std::vector<int64_t>& values) {
  Array array(Type::i64, {int64_t(values.size())});
  std::copy(values.begin(), values.end(), array.mutable_values<int64_t>().begin());
  return graph.add_constant(name, Tensor(array));
}

ValueId add_between(Graph& graph, const std::string& name, const Dims& dims) { return graph.add_value(graph.unique_name(name), Type::f32, shape_of(dims)); }

// [N,C,W] → [N,C,1,W], convolved, → [N,M,W'].
bool one_axis(Graph& graph, size_t n) {
  const Node conv = graph.nodes[n];
  const auto x = dims_of(graph, conv.inputs[0]), y = dims_of(graph, conv.outputs[0]);
  const Tensor* weight = graph.constant(conv.input(1));
  if (!conv.is("Conv") || !x || !y || x->size() != 3 || weight == nullptr || graph.at(conv.inputs[0]).type != Type::f32) return false;
  const std::string name = graph.at(conv.outputs[0]).name;
  const Dims& w = weight->dims;
  const ValueId wide = graph.add_constant(name + "_w", stored_like(*weight, weight->decode().cast(Type::f32).reshaped({w[0], w[1], 1, w[2]})));
  const ValueId from = add_between(graph, name + "_x", {(*x)[0], (*x)[1], 1, (*x)[2]}), to = add_between(graph, name + "_y", {(*y)[0], (*y)[1], 1, (*y)[2]});
  const ValueId axes = add_integers(graph, name + "_axis", {2});
  graph.add_node("Unsqueeze", {conv.inputs[0], axes}, {from}).name = conv.name;
  Node& layer = graph.add_node("Conv", conv.inputs, {to});
  layer.name = conv.name;
  layer.attributes = conv.attributes;
  layer.inputs[0] = from;
  layer.inputs[1] = wide;
  for (const auto& [key, lone] : {std::pair{"strides", 1}, {"dilations", 1}, {"kernel_shape", 1}})
    if (auto values = conv.integers(key); !values.empty()) layer.attributes[key] = std::vector<int64_t>{lone, values[0]};
  if (const auto pads = conv.integers("pads"); !pads.empty()) layer.attributes["pads"] = std::vector<int64_t>{0, pads.at(0), 0, pads.at(1)};
  graph.add_node("Squeeze", {to, axes}, {conv.outputs[0]}).name = conv.name;
  return true;
}

// [N,C,H,1] with kernels of one column → [N,C,1,H] with kernels of one row: the fast forms walk along rows.
bool one_column(Graph& graph, size_t n) {
  const Node conv = graph.nodes[n];
  const auto x = dims_of(graph, conv.inputs[0]), y = dims_of(graph, conv.outputs[0]);
  const Tensor* weight = graph.constant(conv.input(1));
  if (!conv.is("Conv") || !x || !y || x->size() != 4 || weight == nullptr || !weight->plain() || graph.at(conv.inputs[0]).type != Type::f32) return false;
  const Dims& w = weight->dims;
  const auto pads = conv.integers("pads", {0, 0, 0, 0});
  if ((*x)[3] != 1 || w[3] != 1 || w[2] == 1 || (*y)[3] != 1 || pads.size() != 4 || pads[1] + pads[3] != 0 || conv.text("auto_pad", "NOTSET") != "NOTSET") return false;
  const std::string name = graph.at(conv.outputs[0]).name;
  const Dims turned_x{(*x)[0], (*x)[1], 1, (*x)[2]}, turned_y{(*y)[0], (*y)[1], 1, (*y)[2]};
  const ValueId from = add_between(graph, name + "_x", turned_x), to = add_between(graph, name + "_y", turned_y);
  graph.add_node("Reshape", {conv.inputs[0], add_integers(graph, name + "_xs", turned_x)}, {from}).name = conv.name;
  Node& layer = graph.add_node("Conv", conv.inputs, {to});
  layer.name = conv.name;
  layer.attributes = conv.attributes;
  layer.inputs[0] = from;
  layer.inputs[1] = graph.add_constant(name + "_w", Tensor(weight->decode().reshaped({w[0], w[1], 1, w[2]})));
  for (const char* key : {"strides", "dilations", "kernel_shape"})
    if (auto values = conv.integers(key); values.size() == 2) layer.attributes[key] = std::vector<int64_t>{values[1], values[0]};
  layer.attributes["pads"] = std::vector<int64_t>{0, pads[0], 0, pads[2]};
  graph.add_node("Reshape", {to, add_integers(graph, name + "_ys", *y)}, {conv.outputs[0]}).name = conv.name;
  return true;
}

// y = x·γ/√(σ²+ε) + … behind what is no convolution: one of a single pixel a channel.
bool lone_norm(Graph& graph, size_t n) {
  const Node norm = graph.nodes[n];
  const auto x = dims_of(graph, norm.inputs[0]);
  if (!norm.is("BatchNormalization") || !x || x->size() != 4 || graph.at(norm.inputs[0]).type != Type::f32 || norm.integer("training_mode", 0) != 0) return false;
  std::vector<float> part[5];
  for (size_t i = 1; i < 5; ++i) {
    const Tensor* tensor = graph.constant(norm.input(i));
    if (tensor == nullptr || tensor->count() != (*x)[1]) return false;
    part[i] = tensor->decode().to_floats();
  }
  const int64_t channels = (*x)[1];
  Array weight(Type::f32, {channels, 1, 1, 1}), bias(Type::f32, {channels});
  for (size_t c = 0; c < size_t(channels); ++c) {
    const double factor = part[1][c] / std::sqrt(double(part[4][c]) + norm.real("epsilon", 1e-5f));
    weight.mutable_values<float>()[c] = float(factor);
    bias.mutable_values<float>()[c] = float(part[2][c] - part[3][c] * factor);
  }
  const std::string name = graph.at(norm.outputs[0]).name;
  const ValueId w = graph.add_constant(name + "_w", Tensor(weight)), b = graph.add_constant(name + "_b", Tensor(bias));
  Node& layer = graph.add_node("Conv", {norm.inputs[0], w, b}, {norm.outputs[0]});
  layer.name = norm.name;
  layer.attributes["group"] = channels;
  return true;
}

// One axis of a transposed convolution with stride s as a convolution of the small image. With o = q·s + r the result is
//   y[q·s + r] = Σ_j x[q + j]·w[(r + p − j·s)/d], over the j for which that is a tap of w:
// s interleaved results (phases r), each a convolution over first ≤ j ≤ last.
struct PhaseAxis {
  int64_t stride, dilation, pad, taps, in, out;
  int64_t first, last, phases;  // phases: results of each r, out rounded up
  PhaseAxis(int64_t s, int64_t d, int64_t p, int64_t k, int64_t in_, int64_t out_) : stride(s), dilation(d), pad(p), taps(k), in(in_), out(out_) {
    phases = ceil_div(out, s);
    first = std::min<int64_t>(ceil_div(p - (k - 1) * d, s), 0);
    last = std::max(floor_div(s - 1 + p, s), in - phases);  // the border behind is not negative
  }
  int64_t width() const { return last - first + 1; }
  int64_t tap(int64_t r, int64_t j) const {  // −1: none
    const int64_t at = r + pad - j * stride;
    return at >= 0 && at % dilation == 0 && at / dilation < taps ? at / dilation : -1;
  }
};

// [C, M/g, kh, kw] → [M·s², C/g, h, w]; result channel m·s² + r_h·s + r_w, as DepthToSpace in CRD order wants it.
Array phase_weights(const Array& weight, int64_t groups, const PhaseAxis& rows, const PhaseAxis& columns) {
  const int64_t inputs = weight.dim(0) / groups, outputs = weight.dim(1), s = rows.stride;
  Array result(Type::f32, {outputs * groups * s * s, inputs, rows.width(), columns.width()});
  const auto from = weight.values<float>();
  auto to = result.mutable_values<float>().begin();
  for (int64_t m = 0; m < outputs * groups; ++m)
    for (int64_t phase = 0; phase < s * s; ++phase)
      for (int64_t c = 0; c < inputs; ++c)
        for (int64_t i = rows.first; i <= rows.last; ++i)
          for (int64_t j = columns.first; j <= columns.last; ++j, ++to) {
            const int64_t a = rows.tap(phase / s, i), b = columns.tap(phase % s, j), channel = m / outputs * inputs + c;
            *to = a < 0 || b < 0 ? 0.0f : from[size_t(((channel * outputs + m % outputs) * rows.taps + a) * columns.taps + b)];
          }
  return result;
}

std::optional<std::pair<PhaseAxis, PhaseAxis>> phase_axes(const Node& node, const Dims& x, const Dims& w, const Dims& y) {
  if (!goes_in_phases(node)) return std::nullopt;
  const auto strides = node.integers("strides", {1, 1}), dilations = node.integers("dilations", {1, 1}), pads = node.integers("pads", {0, 0, 0, 0});
  return std::pair{PhaseAxis(strides[0], dilations[0], pads[0], w[2], x[2], y[2]), PhaseAxis(strides[1], dilations[1], pads[1], w[3], x[3], y[3])};
}

// The same in the integers that `weight` is stored in, so that the layer goes on computing in them: its values only move, and a scale
// goes with each output.
Tensor phase_tensor(const Tensor& weight, int64_t groups, const PhaseAxis& rows, const PhaseAxis& columns) {
  if (!holds_bytes(&weight) || weight.parts.size() != 2 || (weight.parts[1].count() != 1 && weight.axis != 1)) return stored_like(weight, phase_weights(weight.decode().cast(Type::f32), groups, rows, columns));
  const Array values = phase_weights(weight.parts[0].aligned().cast(Type::f32), groups, rows, columns).cast(Type::i8);
  const auto once = weight.parts[1].to_floats();
  Array scales(Type::f32, {values.dim(0)});
  const int64_t phases = rows.stride * rows.stride;
  for (int64_t i = 0; i < scales.count(); ++i) scales.mutable_values<float>()[size_t(i)] = once[once.size() == 1 ? 0 : size_t(i / phases % weight.dims[1])];
  return affine_tensor(values, scales, Array(), 0);
}

// The function of each element that alone reads `id`; -1: there is none.
int function_behind(const Graph& graph, const Uses& uses, ValueId id) {
  const int n = uses.only_consumer(id);
  if (n < 0) return -1;
  const Node& node = graph.nodes[size_t(n)];
  const bool function = node.is("Relu") || node.is("LeakyRelu") || node.is("Sigmoid") || node.is("Tanh") || node.is("HardSwish");
  return function && node.inputs.size() == 1 ? n : -1;
}

// `behind`: the function behind the layer that goes with it, in front of what interleaves its phases, where kernels take it up.
bool transposed(Graph& graph, size_t n, const Uses& uses, int& behind) {
  const Node node = graph.nodes[n];
  const auto x = dims_of(graph, node.inputs[0]), y = dims_of(graph, node.outputs[0]);
  const Tensor *weight = graph.constant(node.input(1)), *bias = graph.constant(node.input(2));
  if (!node.is("ConvTranspose") || !x || !y || x->size() != 4 || weight == nullptr || (node.input(2) != kNone && bias == nullptr) || graph.at(node.inputs[0]).type != Type::f32) return false;
  const auto axes = phase_axes(node, *x, weight->dims, *y);
  if (!axes) return false;
  const auto& [rows, columns] = *axes;
  const int64_t s = rows.stride, channels = (*y)[1], groups = node.integer("group", 1);
  const std::string name = graph.at(node.outputs[0]).name;
  std::vector<ValueId> inputs{node.inputs[0], graph.add_constant(name + "_w", phase_tensor(*weight, groups, rows, columns))};
  if (bias != nullptr) {
    Array repeated(Type::f32, {channels * s * s});
    const auto once = bias->decode().to_floats();
    for (int64_t i = 0; i < repeated.count(); ++i) repeated.mutable_values<float>()[size_t(i)] = once.at(size_t(i / (s * s)));
    inputs.push_back(graph.add_constant(name + "_b", Tensor(repeated)));
  }
  const bool exact = rows.phases * s == rows.out && columns.phases * s == columns.out;
  ValueId value = s == 1 ? node.outputs[0] : add_between(graph, name + "_phases", {(*y)[0], channels * s * s, rows.phases, columns.phases});
  Node& layer = graph.add_node("Conv", inputs, {value});
  layer.name = node.name;
  layer.attributes = {{"group", groups},
                      {"pads", std::vector<int64_t>{-rows.first, -columns.first, rows.phases - rows.in + rows.width() - 1 + rows.first,
                                                    columns.phases - columns.in + columns.width() - 1 + columns.first}}};
  if (s == 1) return true;
  ValueId result = node.outputs[0];
  if (behind = exact ? function_behind(graph, uses, result) : -1; behind >= 0) {
    const Node function = graph.nodes[size_t(behind)];
    const ValueId before = value;
    value = add_between(graph, name + "_phases", {(*y)[0], channels * s * s, rows.phases, columns.phases});
    graph.add_node(function.op_type, {before}, {value}).name = function.name;
    graph.nodes.back().attributes = function.attributes;
    result = function.outputs[0];
  }
  const ValueId whole = exact ? result : add_between(graph, name + "_whole", {(*y)[0], channels, rows.phases * s, columns.phases * s});
  Node& interleave = graph.add_node("DepthToSpace", {value}, {whole});
  interleave.name = node.name;
  interleave.attributes = {{"blocksize", s}, {"mode", std::string("CRD")}};
  if (!exact) graph.add_node("Slice", {whole, add_integers(graph, name + "_from", {0, 0}), add_integers(graph, name + "_to", {rows.out, columns.out}), add_integers(graph, name + "_axes", {2, 3})}, {node.outputs[0]}).name = node.name;
  return true;
}

}  // namespace

int write_as_convolutions(Graph& graph) {
  const size_t count = graph.nodes.size();
  std::vector<char> dead(count, 0);
  int changed = 0;
  const Uses uses(graph);
  for (size_t n = 0; n < count; ++n) {
    if (dead[n]) continue;
    int behind = -1;
    changed += dead[n] = one_axis(graph, n) || one_column(graph, n) || lone_norm(graph, n) || transposed(graph, n, uses, behind);
    if (behind >= 0) dead[size_t(behind)] = 1;
  }
  dead.resize(graph.nodes.size(), 0);
  graph.remove_nodes(dead);
  if (changed > 0) graph.sort();
  return changed;
}

}  // namespace pare
