// What only moves 8-bit values: one strided copy of bytes. Slices that only a Concat reads are read by it in place, and
// layers whose result only a Concat reads write it where it belongs (see place_in_concat).
#include <algorithm>
#include <array>
#include <cstring>

#include "engine/integer/jobs.h"
#include "graph/op.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

// Where the elements of a value lie, in bytes: one stride for each axis as ONNX counts them.
struct View {
  SlotId slot = -1;
  Dims dims;
  std::vector<int64_t> strides;
  int64_t offset = 0;
};

std::vector<int64_t> strides_of(const Storage& storage) {
  const Dims& d = storage.dims;
  if (storage.layout == Layout::channels_last) return {d[1] * d[2] * d[3], 1, d[3] * d[1], d[1]};
  std::vector<int64_t> strides(d.size(), 1);
  for (size_t i = d.size(); i-- > 1;) strides[i - 1] = strides[i] * d[i];
  return strides;
}

std::optional<std::vector<int64_t>> integers(const Planner& planner, const Node& node, size_t input, const char* attribute) {
  const ValueId id = node.input(input);
  if (id == kNone) return node.integers(attribute);
  return constant_integers(planner.graph, id);
}

// Steps and starts along the axes; the extents are the result's.
bool slice(const Planner& planner, const Node& node, const Dims& out, View& view) {
  const auto starts = integers(planner, node, 1, "starts"), steps = integers(planner, node, 4, "steps");
  auto axes = integers(planner, node, 3, "axes");
  if (!starts || !steps || !axes) return false;
  for (size_t i = 0; axes->size() < starts->size(); ++i) axes->push_back(int64_t(i));
  for (size_t i = 0; i < starts->size(); ++i) {
    const auto axis = size_t((*axes)[i] < 0 ? (*axes)[i] + int64_t(out.size()) : (*axes)[i]);
    const int64_t n = view.dims[axis], step = i < steps->size() ? (*steps)[i] : 1, from = (*starts)[i] < 0 ? (*starts)[i] + n : (*starts)[i];
    const int64_t start = std::clamp<int64_t>(from, 0, step < 0 ? std::max<int64_t>(n - 1, 0) : n);
    view.offset += start * view.strides[axis];
    view.strides[axis] *= out[axis] > 1 ? step : 1;
  }
  return true;
}

// [groups][b][b][channels / groups] into pixels, or back: six axes, of which the first is the images' or the groups'. Returns false for what is no
// DepthToSpace or SpaceToDepth of an image.
bool block_move(const Node& node, const Dims& in, const std::vector<int64_t>& s, const std::vector<int64_t>& t, MoveInt8& job) {
  const int64_t b = node.integer("blocksize", 0);
  const bool deep = node.is("DepthToSpace");
  if (in.size() != 4 || b < 1) return false;
  const int64_t c = deep ? in[1] / (b * b) : in[1], h = deep ? in[2] : in[2] / b, w = deep ? in[3] : in[3] / b, groups = depth_groups(node, c);
  if (groups < 1 || c % groups != 0) return false;
  const int64_t run = c / groups;
  if (groups > 1 && run > 1 && in[0] != 1) return false;
  // Axes: image, row, row of the block, column, column of the block, channel; or row … column of the block, group, channel. `d`: the side with the channels.
  const auto& d = deep ? s : t;
  const auto& p = deep ? t : s;
  const int64_t block_row = b * run * d[1], block_column = run * d[1], group = b * b * run * d[1];
  const bool whole = groups == 1 || run == 1;
  const std::array<int64_t, 6> extents = whole ? std::array{in[0], h, b, w, b, c} : std::array{h, b, w, b, groups, run};
  const std::array<int64_t, 6> depth = whole ? std::array{d[0], d[2], block_row, d[3], block_column, groups == 1 ? d[1] : group} : std::array{d[2], block_row, d[3], block_column, group, d[1]};
  const std::array<int64_t, 6> space = whole ? std::array{p[0], p[2] * b, p[2], p[3] * b, p[3], p[1]} : std::array{p[2] * b, p[2], p[3] * b, p[3], run * p[1], p[1]};
  std::copy_n(extents.begin(), 6, job.extents);
  std::copy_n((deep ? depth : space).begin(), 6, job.input_strides);
  std::copy_n((deep ? space : depth).begin(), 6, job.output_strides);
  return true;
}

// Every pixel repeated the same number of times? Asked of the operator itself, on an image of places.
bool enlarge(const Planner& planner, const Node& node, const Dims& in, const Dims& out, const std::vector<int64_t>& s, const std::vector<int64_t>& t, MoveInt8& job) {
  if (in.size() != 4 || out.size() != 4 || in[0] != out[0] || in[1] != out[1] || in[2] < 1 || in[3] < 1 || out[2] % in[2] != 0 || out[3] % in[3] != 0) return false;
  const int64_t down = out[2] / in[2], across = out[3] / in[3];
  Array places(Type::f32, {1, 1, in[2], in[3]});
  auto values = places.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(i);
  Forward forward{node, planner.graph.opset(), {places}, {}};
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNone) { forward.inputs.emplace_back(); continue; }
    if (planner.graph.constant(node.inputs[i]) == nullptr) return false;
    Array given = planner.constant(node.inputs[i]);
    if (i == 3 && given.count() == 4) {  // sizes
      given = given.cast(Type::i64);
      given.mutable_values<int64_t>()[0] = given.mutable_values<int64_t>()[1] = 1;
    }
    forward.inputs.push_back(given);
  }
  forward.outputs.resize(1);
  node.op->forward(forward);
  if (forward.outputs[0].count() != out[2] * out[3]) return false;
  const std::vector<float> found = forward.outputs[0].to_floats();
  for (int64_t h = 0; h < out[2]; ++h)
    for (int64_t w = 0; w < out[3]; ++w)
      if (found[size_t(h * out[3] + w)] != float(h / down * in[3] + w / across)) return false;
  const int64_t extents[6] = {in[0], in[2], down, in[3], across, in[1]}, from[6] = {s[0], s[2], 0, s[3], 0, s[1]}, to[6] = {t[0], t[2] * down, t[2], t[3] * across, t[3], t[1]};
  std::copy_n(extents, 6, job.extents);
  std::copy_n(from, 6, job.input_strides);
  std::copy_n(to, 6, job.output_strides);
  return true;
}

// A copy of `view` to strides `to`, axes ordered by the output's strides and joined where both sides allow it, so that the
// innermost run is as long as it can be. Nothing for more than six axes.
std::optional<MoveInt8> copy_job(const View& view, const std::vector<int64_t>& to, int64_t offset) {
  struct Axis {
    int64_t extent, from, to;
  };
  std::vector<Axis> axes;
  for (size_t i = 0; i < view.dims.size(); ++i)
    if (view.dims[i] != 1) axes.push_back({view.dims[i], view.strides[i], to[i]});
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) { return a.to > b.to; });
  std::vector<Axis> joined;
  for (const Axis& axis : axes) {
    if (!joined.empty() && joined.back().from == axis.from * axis.extent && joined.back().to == axis.to * axis.extent) joined.back() = {joined.back().extent * axis.extent, axis.from, axis.to};
    else joined.push_back(axis);
  }
  if (joined.size() > 6) return std::nullopt;
  MoveInt8 job;
  job.input_offset = view.offset;
  job.output_offset = offset;
  for (size_t i = 0; i < joined.size(); ++i) {
    const size_t at = 6 - joined.size() + i;
    job.extents[at] = joined[i].extent;
    job.input_strides[at] = joined[i].from;
    job.output_strides[at] = joined[i].to;
  }
  return job;
}

bool bytes(const Planner& planner, ValueId id) { return id != kNone && is_eight_bit(planner.graph.at(id).type); }

// A Concat of bytes that lower_integer_concat will take.
bool joins_bytes(const Planner& planner, const Node& node) {
  if (!node.is("Concat") || !bytes(planner, node.outputs[0])) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return planner.graph.constant(id) == nullptr; }) && planner.dims(node.outputs[0]).size() <= 6;
}

// A Slice that is read in place by the Concats behind it.
bool is_read_in_place(const Planner& planner, ValueId id) {
  const int by = planner.producer[size_t(id)];
  if (by < 0 || planner.pinned(id)) return false;
  const Node& node = planner.graph.nodes[size_t(by)];
  const auto& readers = planner.consumers[size_t(id)];
  return node.is("Slice") && planner.graph.constant(node.inputs[0]) == nullptr &&
         std::all_of(readers.begin(), readers.end(), [&](int n) { const Node& next = planner.graph.nodes[size_t(n)]; return joins_bytes(planner, next) || (next.is("Slice") && is_read_in_place(planner, next.outputs[0])); });
}

Layout layout_of(const Dims& dims) { return dims.size() == 4 ? Layout::channels_last : Layout::plain; }

// The elements of `id`: in memory of their own, or those of a slice's source.
std::optional<View> view_of(Planner& planner, ValueId id) {
  const Dims dims = planner.dims(id);
  if (!planner.existing(id)) {
    const Node& node = planner.graph.nodes[size_t(planner.producer[size_t(id)])];
    auto view = view_of(planner, node.inputs[0]);
    if (!view || !slice(planner, node, dims, *view)) return std::nullopt;
    view->dims = dims;
    return view;
  }
  const SlotId slot = planner.slot(id, layout_of(dims), planner.graph.at(id).type);
  return View{slot, dims, strides_of(planner.storage(slot)), 0};
}

// The memory of a Concat, reserved when the first of its parts is computed.
SlotId concat_slot(Planner& planner, int n) {
  auto [it, fresh] = planner.joined.try_emplace(n, -1);
  const ValueId y = planner.graph.nodes[size_t(n)].outputs[0];
  if (fresh) it->second = planner.scratch({planner.graph.at(y).type, planner.dims(y), layout_of(planner.dims(y))});
  return it->second;
}

int64_t axis_of(const Node& node, size_t rank) {
  const int64_t axis = node.integer("axis", 0);
  return axis < 0 ? axis + int64_t(rank) : axis;
}

}  // namespace

std::optional<ConcatPlace> place_in_concat(Planner& planner, ValueId value) {
  const int n = planner.only_consumer(value);
  if (n < 0 || !joins_bytes(planner, planner.graph.nodes[size_t(n)])) return std::nullopt;
  const Node& node = planner.graph.nodes[size_t(n)];
  const Dims out = planner.dims(node.outputs[0]);
  if (out.size() != 4 || axis_of(node, 4) != 1 || out[1] > (1 << 24)) return std::nullopt;
  int64_t offset = 0;
  for (ValueId id : node.inputs) {
    if (id == value) break;
    offset += planner.dims(id)[1];
  }
  planner.in_concat.insert(value);
  return ConcatPlace{concat_slot(planner, n), int(out[1]), offset};
}

bool lower_integer_concat(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!joins_bytes(planner, node)) return false;
  const ValueId y = node.outputs[0];
  const SlotId memory = concat_slot(planner, n);
  const Storage storage = planner.storage(memory);
  const std::vector<int64_t> to = strides_of(storage);
  const int64_t axis = axis_of(node, storage.dims.size());
  int64_t offset = 0;
  for (ValueId id : node.inputs) {
    const int64_t extent = planner.dims(id)[size_t(axis)];
    if (!planner.in_concat.count(id) && count_of(planner.dims(id)) > 0) {
      const auto view = view_of(planner, id);
      const auto job = view ? copy_job(*view, to, offset) : std::nullopt;
      if (!job) throw std::logic_error("no copy for a part of " + node.where());
      emit_move(planner, *job, nullptr, view->slot, memory, node, "Concat", planner.graph.at(y).name);
    }
    offset += extent * to[size_t(axis)];
  }
  planner.define_alias(y, storage, memory);
  return true;
}

bool lower_integer_move(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (node.inputs.empty() || !bytes(planner, node.inputs[0]) || planner.graph.constant(node.inputs[0]) != nullptr) return false;
  const bool cut = node.is("Slice"), split = node.is("Split"), turn = node.is("Transpose"), block = node.is("DepthToSpace") || node.is("SpaceToDepth");
  if (!cut && !split && !turn && !block && !node.is("Resize")) return false;
  if (cut && is_read_in_place(planner, node.outputs[0])) return true;
  const ValueId x = node.inputs[0];
  auto view = view_of(planner, x);
  if (!view) return false;
  int64_t start = 0;
  for (ValueId y : node.outputs) {
    if (y == kNone) return false;
    const Dims dims = planner.dims(y);
    const Storage storage{planner.graph.at(y).type, dims, layout_of(dims)};
    const std::vector<int64_t> to = strides_of(storage);
    View from = *view;
    std::optional<MoveInt8> job = MoveInt8();
    if (cut) {
      if (!slice(planner, node, dims, from)) return false;
    } else if (split) {
      const auto axis = size_t(axis_of(node, dims.size()));
      from.offset += start * from.strides[axis];
      start += dims[axis];
    } else if (turn) {
      std::vector<int64_t> perm = node.integers("perm");
      if (perm.empty())
        for (size_t i = dims.size(); i-- > 0;) perm.push_back(int64_t(i));
      for (size_t i = 0; i < perm.size(); ++i) from.strides[i] = view->strides[size_t(perm[i])];
    } else if (!(block ? block_move(node, view->dims, view->strides, to, *job) : enlarge(planner, node, view->dims, dims, view->strides, to, *job))) {
      return false;
    }
    from.dims = dims;
    if (cut || split || turn) job = copy_job(from, to, 0);
    if (!job) return false;
    const SlotId target = planner.define(y, storage);
    if (count_of(dims) > 0) emit_move(planner, *job, nullptr, view->slot, target, node, node.op_type, planner.graph.at(y).name);
  }
  return true;
}

}  // namespace pare
