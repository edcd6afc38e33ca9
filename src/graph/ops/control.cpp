// If, Loop and Scan: operators that run graphs of their own.
#include <cstring>
#include <limits>

#include "graph/ops/ops.h"

namespace pare {
namespace {

const Graph& body_of(const Node& node, const char* key) {
  const auto body = node.get<std::shared_ptr<Graph>>(key, nullptr);
  if (body == nullptr) throw Error(node.where(), std::string("has no graph '") + key + "'");
  return *body;
}

void check_body(const Node& node, const Graph& body, size_t inputs, size_t outputs) {
  if (body.inputs.size() != inputs || body.outputs.size() != outputs)
    throw Error(node.where(), "its graph takes " + std::to_string(body.inputs.size()) + " inputs and gives " + std::to_string(body.outputs.size()) +
                                  " outputs, the node needs " + std::to_string(inputs) + " and " + std::to_string(outputs));
}

bool truth(const Forward& f, size_t i) { return scalar_of(f, i) != 0; }
bool truth(const Node& node, const Array& array) {
  if (array.count() != 1) throw Error(node.where(), "its graph gives a condition of shape " + dims_text(array.dims()));
  return array.cast(Type::f64).values<double>()[0] != 0;
}

// What is true of a value that has one shape or the other.
std::optional<Shape> either(const std::optional<Shape>& a, const std::optional<Shape>& b) {
  if (!a || !b || a->size() != b->size()) return std::nullopt;
  Shape both = *a;
  for (size_t i = 0; i < both.size(); ++i)
    if (!(both[i] == (*b)[i])) both[i] = {};
  return both;
}

// Elements of at least a byte, cut into [outer, extent, inner] at `axis`.
struct Slabs {
  int64_t outer = 1, extent = 1;
  size_t inner_bytes = 0;
};
Slabs slabs_at(const Node& node, const Array& array, int64_t axis) {
  if (type_bits(array.type()) < 8) throw Error(node.where(), "cannot cut a tensor of " + std::string(type_text(array.type())) + " into slices");
  Slabs slabs;
  for (int64_t i = 0; i < axis; ++i) slabs.outer *= array.dim(int(i));
  slabs.extent = array.dim(int(axis));
  slabs.inner_bytes = size_t(type_bits(array.type())) / 8;
  for (int64_t i = axis + 1; i < array.rank(); ++i) slabs.inner_bytes *= size_t(array.dim(int(i)));
  return slabs;
}

// Element `index` along `axis`, which goes.
Array slice_at(const Node& node, const Array& array, int64_t axis, int64_t index) {
  const Slabs slabs = slabs_at(node, array, axis);
  Dims dims = array.dims();
  dims.erase(dims.begin() + axis);
  Array slice(array.type(), dims);
  std::byte* to = slice.mutable_bytes();
  for (int64_t o = 0; o < slabs.outer; ++o)
    std::memcpy(to + size_t(o) * slabs.inner_bytes, array.bytes() + size_t(o * slabs.extent + index) * slabs.inner_bytes, slabs.inner_bytes);
  return slice;
}

// Slices side by side along a new `axis`; `empty`: what there is where there is no slice.
Array stack(const Node& node, const std::vector<Array>& slices, int64_t axis, bool reversed, const Value& empty) {
  if (slices.empty()) {
    Dims dims{0};
    if (empty.shape)
      for (const Dim& dim : *empty.shape) dims.push_back(dim.known() ? dim.value : 0);
    return Array(empty.type == Type::none ? Type::f32 : empty.type, dims);
  }
  Dims dims = slices[0].dims();
  axis = normal_axis(axis, int64_t(dims.size()) + 1, node.where());
  dims.insert(dims.begin() + axis, int64_t(slices.size()));
  Array all(slices[0].type(), dims);
  const Slabs slabs = slabs_at(node, all, axis);
  std::byte* to = all.mutable_bytes();
  for (size_t k = 0; k < slices.size(); ++k) {
    if (slices[k].dims() != slices[0].dims() || slices[k].type() != slices[0].type())
      throw Error(node.where(), "its graph gives " + dims_text(slices[0].dims()) + " once and " + dims_text(slices[k].dims()) + " later, which cannot be stacked");
    const size_t place = reversed ? slices.size() - 1 - k : k;
    for (int64_t o = 0; o < slabs.outer; ++o)
      std::memcpy(to + (size_t(o) * slices.size() + place) * slabs.inner_bytes, slices[k].bytes() + size_t(o) * slabs.inner_bytes, slabs.inner_bytes);
  }
  return all;
}

// If: the outputs of one of two graphs without inputs.

void infer_if(Inference& in) {
  std::vector<Graph> branches;
  for (const char* key : {"then_branch", "else_branch"}) {
    const Graph& body = body_of(in.node(), key);
    check_body(in.node(), body, 0, in.node().outputs.size());
    branches.push_back(in.inner(body));
    infer_shapes(branches.back());
  }
  const Tensor* constant = in.constant(0);
  const bool known = constant != nullptr && constant->count() == 1;
  const bool taken = known && truth(in.node(), constant->decode());
  for (size_t i = 0; i < in.node().outputs.size(); ++i) {
    const Value& yes = branches[0].at(branches[0].outputs[i]);
    const Value& no = branches[1].at(branches[1].outputs[i]);
    if (known) in.set_from_data(i, (taken ? yes : no).type, (taken ? yes : no).shape);
    else in.set_from_data(i, yes.type, either(yes.shape, no.shape));
  }
}

void forward_if(Forward& f) {
  const Graph& body = body_of(f.node, truth(f, 0) ? "then_branch" : "else_branch");
  check_body(f.node, body, 0, f.outputs.size());
  f.outputs = evaluate(body, {}, f.outer);
}

// Shapes of what a body carries from one round to the next: those it starts with, less what a round changes. `first_in` and
// `first_out` are the positions of the first carried value among the body's inputs and outputs.
Graph settle(Graph ready, size_t first_in, size_t first_out, size_t carried) {
  for (int round = 0;; ++round) {
    Graph inner = ready;
    infer_shapes(inner);
    bool same = true;
    for (size_t i = 0; i < carried; ++i) {
      Value& start = ready.at(ready.inputs[first_in + i]);
      auto both = either(start.shape, inner.at(inner.outputs[first_out + i]).shape);
      if (round > 2) both = std::nullopt;
      same &= start.shape == both;
      start.shape = std::move(both);
    }
    if (same) return inner;
  }
}

// Loop: inputs (most rounds, whether to begin, carried…), body (round, condition, carried…) → (condition, carried…, scanned…).

size_t loop_carried(const Node& node) { return node.inputs.size() < 2 ? 0 : node.inputs.size() - 2; }

void check_loop(const Node& node, const Graph& body) {
  const size_t carried = loop_carried(node);
  if (node.outputs.size() < carried) throw Error(node.where(), "gives fewer values than it carries");
  check_body(node, body, carried + 2, node.outputs.size() + 1);
}

void infer_loop(Inference& in) {
  const Graph& body = body_of(in.node(), "body");
  check_loop(in.node(), body);
  const size_t carried = loop_carried(in.node());
  Graph ready = in.inner(body);
  for (size_t i = 0; i < 2; ++i) ready.at(ready.inputs[i]).shape = Shape{};
  for (size_t i = 0; i < carried; ++i) {
    Value& value = ready.at(ready.inputs[i + 2]);
    if (in.type(i + 2) != Type::none) value.type = in.type(i + 2);
    value.shape = in.shape(i + 2) ? std::optional(*in.shape(i + 2)) : std::nullopt;
  }
  const Graph inner = settle(std::move(ready), 2, 1, carried);
  for (size_t i = 0; i < in.node().outputs.size(); ++i) {
    const Value& value = inner.at(inner.outputs[i + 1]);
    if (i < carried) {
      in.set_from_data(i, value.type, inner.at(inner.inputs[i + 2]).shape);
      continue;
    }
    auto shape = value.shape;
    if (shape) shape->insert(shape->begin(), Dim{});
    in.set_from_data(i, value.type, shape);
  }
}

void forward_loop(Forward& f) {
  const Graph& body = body_of(f.node, "body");
  check_loop(f.node, body);
  const size_t carried = loop_carried(f.node), scanned = f.outputs.size() - carried;
  const int64_t rounds = f.has(0) ? f.in(0).to_integers().at(0) : std::numeric_limits<int64_t>::max();
  bool again = f.has(1) ? truth(f, 1) : true;
  std::vector<Array> values(f.inputs.begin() + std::min<long>(2, long(f.inputs.size())), f.inputs.end());
  std::vector<std::vector<Array>> slices(scanned);
  for (int64_t round = 0; again && round < rounds; ++round) {
    std::vector<Array> given{Array::scalar<int64_t>(round), Array::of<bool>({}, {again})};
    given.insert(given.end(), values.begin(), values.end());
    const std::vector<Array> results = evaluate(body, given, f.outer);
    again = truth(f.node, results[0]);
    for (size_t i = 0; i < carried; ++i) values[i] = results[1 + i];
    for (size_t i = 0; i < scanned; ++i) slices[i].push_back(results[1 + carried + i]);
  }
  for (size_t i = 0; i < carried; ++i) f.outputs[i] = values[i];
  for (size_t i = 0; i < scanned; ++i) f.outputs[carried + i] = stack(f.node, slices[i], 0, false, body.at(body.outputs[1 + carried + i]));
}

// Scan: inputs (states…, sequences…), body (states…, elements…) → (states…, elements…).

struct ScanForm {
  size_t states = 0, sequences = 0, results = 0;
  std::vector<int64_t> in_axes, out_axes, in_reversed, out_reversed;
};

ScanForm scan_form(const Node& node, const Graph& body) {
  ScanForm form;
  const int64_t sequences = node.integer("num_scan_inputs", 0);
  if (sequences < 1 || sequences > int64_t(node.inputs.size())) throw Error(node.where(), "num_scan_inputs is " + std::to_string(sequences));
  form.sequences = size_t(sequences);
  form.states = node.inputs.size() - form.sequences;
  if (node.outputs.size() < form.states) throw Error(node.where(), "gives fewer values than it has states");
  form.results = node.outputs.size() - form.states;
  check_body(node, body, node.inputs.size(), node.outputs.size());
  form.in_axes = node.integers("scan_input_axes", std::vector<int64_t>(form.sequences, 0));
  form.in_reversed = node.integers("scan_input_directions", std::vector<int64_t>(form.sequences, 0));
  form.out_axes = node.integers("scan_output_axes", std::vector<int64_t>(form.results, 0));
  form.out_reversed = node.integers("scan_output_directions", std::vector<int64_t>(form.results, 0));
  if (form.in_axes.size() != form.sequences || form.in_reversed.size() != form.sequences || form.out_axes.size() != form.results || form.out_reversed.size() != form.results)
    throw Error(node.where(), "has axes or directions that do not fit its inputs and outputs");
  return form;
}

void infer_scan(Inference& in) {
  const Graph& body = body_of(in.node(), "body");
  const ScanForm form = scan_form(in.node(), body);
  Graph ready = in.inner(body);
  Dim length;
  for (size_t i = 0; i < in.inputs(); ++i) {
    Value& value = ready.at(ready.inputs[i]);
    if (in.type(i) != Type::none) value.type = in.type(i);
    value.shape = in.shape(i) ? std::optional(*in.shape(i)) : std::nullopt;
    if (i < form.states || !value.shape) continue;
    const int64_t axis = normal_axis(form.in_axes[i - form.states], int64_t(value.shape->size()), in.node().where());
    if (!length.known()) length = (*value.shape)[size_t(axis)];
    value.shape->erase(value.shape->begin() + axis);
  }
  const Graph inner = settle(std::move(ready), 0, 0, form.states);
  for (size_t i = 0; i < in.node().outputs.size(); ++i) {
    const Value& value = inner.at(inner.outputs[i]);
    auto shape = i < form.states ? inner.at(inner.inputs[i]).shape : value.shape;
    if (i >= form.states && shape)
      shape->insert(shape->begin() + normal_axis(form.out_axes[i - form.states], int64_t(shape->size()) + 1, in.node().where()), length);
    in.set_from_data(i, value.type, shape);
  }
}

void forward_scan(Forward& f) {
  const Graph& body = body_of(f.node, "body");
  ScanForm form = scan_form(f.node, body);
  int64_t length = -1;
  for (size_t i = 0; i < form.sequences; ++i) {
    const Array& sequence = f.in(form.states + i);
    form.in_axes[i] = normal_axis(form.in_axes[i], sequence.rank(), f.node.where());
    const int64_t own = sequence.dim(int(form.in_axes[i]));
    if (length >= 0 && own != length) throw Error(f.node.where(), "scans sequences of " + std::to_string(length) + " and " + std::to_string(own) + " elements");
    length = own;
  }
  std::vector<Array> values(f.inputs.begin(), f.inputs.begin() + long(form.states));
  std::vector<std::vector<Array>> slices(form.results);
  for (int64_t round = 0; round < length; ++round) {
    std::vector<Array> given = values;
    for (size_t i = 0; i < form.sequences; ++i)
      given.push_back(slice_at(f.node, f.in(form.states + i), form.in_axes[i], form.in_reversed[i] != 0 ? length - 1 - round : round));
    const std::vector<Array> results = evaluate(body, given, f.outer);
    for (size_t i = 0; i < form.states; ++i) values[i] = results[i];
    for (size_t i = 0; i < form.results; ++i) slices[i].push_back(results[form.states + i]);
  }
  for (size_t i = 0; i < form.states; ++i) f.outputs[i] = values[i];
  for (size_t i = 0; i < form.results; ++i)
    f.outputs[form.states + i] = stack(f.node, slices[i], form.out_axes[i], form.out_reversed[i] != 0, body.at(body.outputs[form.states + i]));
}

}  // namespace

const Op op_if_{"If", "", 1, 1, 1, -1, infer_if, forward_if, nullptr, "one of two graphs, by a condition"};
const Op op_loop{"Loop", "", 2, -1, 1, -1, infer_loop, forward_loop, nullptr, "a graph again and again, values carried from round to round"};
const Op op_scan{"Scan", "", 1, -1, 1, -1, infer_scan, forward_scan, nullptr, "a graph over the elements of sequences"};

}  // namespace pare
