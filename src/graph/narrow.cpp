// Cutting slices that are tied (links.h): constants lose them, each node's attributes and extents follow, and inference
// on the result must find the extents that were meant.
#include <algorithm>
#include <cstring>

#include "graph/links.h"
#include "graph/op.h"

namespace pare {

Dims Narrowing::after(ValueId id) const {
  Dims dims = before(id);
  for (size_t axis = 0; axis < dims.size(); ++axis)
    if (const auto it = cuts_.find({id, int(axis)}); it != cuts_.end()) dims[axis] -= int64_t(it->second.size());
  return dims;
}

int64_t Narrowing::kept_before(ValueId id, int axis, int64_t index) const {
  const auto it = cuts_.find({id, axis});
  if (it == cuts_.end()) return index;
  return index - (std::lower_bound(it->second.begin(), it->second.end(), index) - it->second.begin());
}

bool Narrowing::is_kept(ValueId id, int axis, int64_t index) const {
  const auto it = cuts_.find({id, axis});
  return it == cuts_.end() || !std::binary_search(it->second.begin(), it->second.end(), index);
}

std::optional<std::vector<int64_t>> Narrowing::integers(size_t input) const {
  const Tensor* tensor = graph_.constant(graph_.nodes[size_t(node_)].input(input));
  if (tensor == nullptr || !tensor->plain() || !is_integer(tensor->type)) return std::nullopt;
  return tensor->decode().to_integers();
}

namespace {

// Nodes that share a constant may need different ones from now on. An input that was left out comes into being.
void set_own_integers(Graph& graph, Node& node, size_t input, const Dims& dims, const std::vector<int64_t>& values) {
  if (node.inputs.size() <= input) node.inputs.resize(input + 1, kNone);
  const ValueId old = node.inputs[input];
  const Type type = old != kNone && graph.at(old).type == Type::i32 ? Type::i32 : Type::i64;
  const std::string name = old != kNone ? graph.at(old).name : node.name + "_extents";
  node.inputs[input] = graph.add_constant(name, Tensor(Array::of<int64_t>(dims, values).cast(type)));
}

}  // namespace

void Narrowing::set_integers(size_t input, const std::vector<int64_t>& values) {
  const Tensor* old = graph_.constant(node().input(input));
  const bool scalar = old != nullptr && old->dims.empty();
  set_own_integers(graph_, node(), input, scalar ? Dims{} : Dims{int64_t(values.size())}, values);
}

// Follows a list of extents through Concat and what only changes its shape to the constant that holds the entry.
Narrowing::Place Narrowing::place_of(size_t input, size_t at) const {
  Place place{node_, input, at};
  const std::vector<int> producers = graph_.producers();
  for (int depth = 0; depth < 16; ++depth) {
    const ValueId id = graph_.nodes[size_t(place.node)].input(place.input);
    if (id == kNone) return {};
    if (const Tensor* tensor = graph_.constant(id)) return tensor->plain() && is_integer(tensor->type) && int64_t(place.at) < tensor->count() ? place : Place{};
    const int n = producers[size_t(id)];
    if (n < 0) return {};
    const Node& maker = graph_.nodes[size_t(n)];
    if (maker.is("Concat")) {
      size_t part = 0;
      for (; part < maker.inputs.size(); ++part) {
        // A constant may have been put there by now.
        const ValueId input_id = maker.inputs[part];
        const Tensor* tensor = graph_.constant(input_id);
        if (tensor == nullptr && !before_[size_t(input_id)]) return {};
        const size_t count = size_t(count_of(tensor != nullptr ? tensor->dims : *before_[size_t(input_id)]));
        if (place.at < count) break;
        place.at -= count;
      }
      if (part == maker.inputs.size()) return {};
      place = {n, part, place.at};
    } else if (maker.is("Cast") || maker.is("Identity") || maker.is("Unsqueeze") || maker.is("Squeeze") || maker.is("Reshape")) {
      place = {n, 0, place.at};
    } else {
      return {};
    }
  }
  return {};
}

std::optional<int64_t> Narrowing::entry(size_t input, size_t at) const {
  const Place place = place_of(input, at);
  if (place.node < 0) return std::nullopt;
  return graph_.constant(graph_.nodes[size_t(place.node)].inputs[place.input])->decode().to_integers()[place.at];
}

void Narrowing::set_entry(size_t input, size_t at, int64_t value) {
  const Place place = place_of(input, at);
  if (place.node < 0) return;
  Node& node = graph_.nodes[size_t(place.node)];
  const Tensor& tensor = *graph_.constant(node.inputs[place.input]);
  std::vector<int64_t> values = tensor.decode().to_integers();
  if (values[place.at] == value) return;
  values[place.at] = value;
  set_own_integers(graph_, node, place.input, Dims(tensor.dims), values);
}

namespace {

// `array` without the slices `cut` (ascending) of `axis`.
Array without(const Array& array, int axis, const std::vector<int64_t>& cut) {
  Dims dims = array.dims();
  const int64_t extent = dims[size_t(axis)];
  dims[size_t(axis)] -= int64_t(cut.size());
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < axis; ++i) outer *= dims[size_t(i)];
  for (size_t i = size_t(axis) + 1; i < dims.size(); ++i) inner *= dims[i];
  Array result(array.type(), dims);
  const size_t bytes = size_t(inner) * size_t(type_bits(array.type())) / 8;
  std::byte* to = result.mutable_bytes();
  for (int64_t o = 0; o < outer; ++o) {
    auto next = cut.begin();
    for (int64_t i = 0; i < extent; ++i) {
      if (next != cut.end() && *next == i) { ++next; continue; }
      std::memcpy(to, array.bytes() + size_t(o * extent + i) * bytes, bytes);
      to += bytes;
    }
  }
  return result;
}

void check_extents(const Graph& graph, const Cuts& cuts, const Coupling& coupling, const std::vector<Dims>& inputs) {
  Graph concrete = graph;
  infer_shapes(concrete, inputs);
  const std::vector<int> producers = graph.producers();
  for (size_t id = 0; id < coupling.dims().size(); ++id) {
    if (!coupling.dims()[id]) continue;
    Dims wanted = *coupling.dims()[id];
    for (size_t axis = 0; axis < wanted.size(); ++axis)
      if (const auto it = cuts.find({ValueId(id), int(axis)}); it != cuts.end()) wanted[axis] -= int64_t(it->second.size());
    const auto& shape = concrete.values[id].shape;
    const auto found = shape ? known_dims(*shape) : std::nullopt;
    const int n = producers[id];
    if (n < 0 || (found && *found == wanted)) continue;
    throw Error(graph.nodes[size_t(n)].where(), "makes " + (shape ? shape_text(*shape) : std::string("an unknown shape")) + " where " + dims_text(wanted) + " was expected");
  }
}

}  // namespace

void cut_slices(Graph& graph, const Cuts& cuts, const Coupling& coupling, const std::vector<Dims>& inputs) {
  for (const auto& [place, cut] : cuts) {
    Value& value = graph.at(place.first);
    const size_t axis = size_t(place.second);
    if (value.constant) value.constant = std::make_shared<const Tensor>(without(value.constant->array(), place.second, cut));
    if (value.shape && axis < value.shape->size() && (*value.shape)[axis].known()) (*value.shape)[axis].value -= int64_t(cut.size());
  }
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    bool touched = false;
    for (const auto* ids : {&node.inputs, &node.outputs})
      for (ValueId id : *ids)
        if (const auto it = cuts.lower_bound({id, 0}); id != kNone && it != cuts.end() && it->first.first == id) touched = true;
    if (!touched || node.op == nullptr || node.op->narrow == nullptr) continue;
    Narrowing narrowing(graph, int(n), cuts, coupling.dims());
    node.op->narrow(narrowing);
  }
  check_extents(graph, cuts, coupling, inputs);
}

}  // namespace pare
