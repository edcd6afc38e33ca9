// Operators that only move elements: one strided copy, or none where the bytes already lie right.
#include "engine/view.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

class CopyStep : public Step {
 public:
  CopyStep(StridedCopy copy, SlotId from, SlotId to) : copy_(std::move(copy)) {
    reads = {from};
    writes = to;
  }
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int threads) override { run_strided_copy(copy_, slots[reads[0]], slots[writes], thread, threads); }

 private:
  StridedCopy copy_;
};

class FillStep : public Step {
 public:
  FillStep(Array value, int64_t count, SlotId to) : value_(std::move(value)), count_(count) { writes = to; }
  bool team() const override { return true; }
  void run(std::byte* const* slots, int thread, int) override {
    const StridedCopy fill{{{1, 0, 0}, {count_, 0, 1}}, 0, 0, type_bits(value_.type()) / 8};
    if (thread == 0) run_strided_copy(fill, value_.bytes(), slots[writes], 0, 1);
  }

 private:
  Array value_;
  int64_t count_;
};

// One operator at work: the arrangement of its only input and result, changed until they meet.
struct Move {
  Planner& planner;
  const Node& node;
  View from, to;
  Dims x, y;
  std::optional<Array> filling;   // what the result holds where nothing is copied to

  std::optional<std::vector<int64_t>> integers(size_t input) const { return constant_integers(planner.graph, node.input(input)); }
  size_t axis(const char* name, int64_t fallback) const { return size_t(normal_axis(node.integer(name, fallback), int64_t(x.size()), node.where())); }
};

bool move_transpose(Move& m) {
  std::vector<int64_t> perm = m.node.integers("perm");
  if (perm.empty())
    for (size_t i = m.x.size(); i-- > 0;) perm.push_back(int64_t(i));
  const std::vector<ViewAxis> axes = m.from.axes;
  for (size_t i = 0; i < perm.size(); ++i) m.from.axes[i] = axes[size_t(perm[i])];
  return true;
}

bool move_slice(Move& m) {
  const auto starts = m.integers(1), ends = m.integers(2);
  if (!starts || !ends || (m.node.input(3) != kNone && !m.integers(3)) || (m.node.input(4) != kNone && !m.integers(4))) return false;
  const auto cuts = cuts_of(m.node, m.x, *starts, *ends, m.integers(3).value_or(Dims()), m.integers(4).value_or(Dims()));
  for (size_t i = 0; i < cuts.size(); ++i)
    if (!(cuts[i].start == 0 && cuts[i].step == 1 && cuts[i].extent == m.x[i]) && !restrict_axis(m.from, i, cuts[i].start, cuts[i].extent, cuts[i].step)) return false;
  return true;
}

// A Gather of one place given by a number: the axis vanishes, or stays with extent 1.
bool move_gather(Move& m) {
  const auto index = m.integers(1);
  if (!index || index->size() != 1) return false;
  const size_t axis = m.axis("axis", 0);
  const int64_t at = (*index)[0] < 0 ? (*index)[0] + m.x[axis] : (*index)[0];
  const size_t rank = m.planner.graph.constant(m.node.inputs[1])->dims.size();
  if (at < 0 || at >= m.x[axis] || rank > 1 || !restrict_axis(m.from, axis, at, 1)) return false;
  if (rank == 0) m.from.axes.erase(m.from.axes.begin() + long(axis));
  return true;
}

bool move_expand(Move& m) {
  while (m.from.axes.size() < m.to.axes.size()) m.from.axes.insert(m.from.axes.begin(), ViewAxis{{{1, 0}}});
  for (size_t i = 0; i < m.to.axes.size(); ++i)
    if (m.from.axes[i].extent() != m.to.axes[i].extent()) m.from.axes[i] = repeated(m.y[i]);
  return m.from.axes.size() == m.to.axes.size();
}

// Axes of which the result holds `times` copies; one after the other (outer), or each element beside itself.
bool repeat_axes(Move& m, const Dims& times, bool outer) {
  View from{{}, m.from.offset}, to{{}, m.to.offset};
  for (size_t i = 0; i < times.size(); ++i) {
    const auto parts = split(m.to.axes[i], outer ? Dims{times[i], m.x[i]} : Dims{m.x[i], times[i]});
    if (!parts) return false;
    from.axes.push_back(outer ? repeated(times[i]) : m.from.axes[i]);
    from.axes.push_back(outer ? m.from.axes[i] : repeated(times[i]));
    to.axes.insert(to.axes.end(), parts->begin(), parts->end());
  }
  m.from = from;
  m.to = to;
  return true;
}

bool move_tile(Move& m) {
  const auto times = m.integers(1);
  return times && times->size() == m.x.size() && repeat_axes(m, *times, true);
}

// Nearest neighbours by whole factors, where each pixel is simply repeated.
bool move_resize(Move& m) {
  if (m.node.text("mode", "nearest") != "nearest" || m.x.size() != m.y.size()) return false;
  const std::string where = m.node.text("coordinate_transformation_mode", "half_pixel"), round = m.node.text("nearest_mode", "round_prefer_floor");
  Dims times;
  for (size_t i = 0; i < m.x.size(); ++i) {
    if (m.x[i] == 0 || m.y[i] % m.x[i] != 0) return false;
    times.push_back(m.y[i] / m.x[i]);
  }
  // Place i of a factor f reads (i + ½)/f − ½ or i/f; both floor to i/f's whole part with these ways of rounding.
  const bool asymmetric = where == "asymmetric" && round == "floor";
  const bool centred = (where == "half_pixel" || where == "pytorch_half_pixel" || where == "half_pixel_symmetric") && (round == "round_prefer_floor" || round == "round_prefer_ceil");
  const bool cut = where == "tf_crop_and_resize" || m.node.integer("antialias", 0) != 0;
  return !cut && (asymmetric || centred) && repeat_axes(m, times, false);
}

bool move_depth(const Node& node, View& depth, View& space, const Dims& space_dims) {
  const int64_t block = node.integer("blocksize", 1), channels = space_dims[1], groups = depth_groups(node, channels);
  if (groups < 1 || channels % groups != 0) return false;
  const auto c = split(depth.axes[1], Dims{groups, block, block, channels / groups}), s = split(space.axes[1], Dims{groups, channels / groups});
  const auto h = split(space.axes[2], {space_dims[2] / block, block}), w = split(space.axes[3], {space_dims[3] / block, block});
  if (!c || !s || !h || !w) return false;
  depth.axes = {depth.axes[0], (*c)[0], (*c)[3], depth.axes[2], (*c)[1], depth.axes[3], (*c)[2]};
  space.axes = {space.axes[0], (*s)[0], (*s)[1], (*h)[0], (*h)[1], (*w)[0], (*w)[1]};
  return true;
}

bool move_depth_to_space(Move& m) { return move_depth(m.node, m.from, m.to, m.y); }
bool move_space_to_depth(Move& m) { return move_depth(m.node, m.to, m.from, m.x); }

bool move_pad(Move& m) {
  const auto pads = m.node.input(1) != kNone ? m.integers(1) : std::optional(m.node.integers("pads"));
  if (!pads || pads->size() != 2 * m.x.size() || m.node.input(3) != kNone || m.node.text("mode", "constant") != "constant") return false;
  const Tensor* value = m.planner.graph.constant(m.node.input(2));
  if (m.node.input(2) != kNone && (value == nullptr || value->count() != 1)) return false;
  const Type type = m.planner.graph.at(m.node.inputs[0]).type;
  m.filling = value ? value->decode().cast(type).reshaped({}) : Array(type, {});
  for (size_t i = 0; i < m.x.size(); ++i) {
    const int64_t before = (*pads)[i], after = (*pads)[i + m.x.size()];
    if (before < 0 || after < 0) return false;
    if ((before != 0 || after != 0) && !restrict_axis(m.to, i, before, m.x[i])) return false;
  }
  return true;
}

struct Mover {
  const char* op;
  bool (*build)(Move&);
};
constexpr Mover kMovers[] = {{"Transpose", move_transpose}, {"Slice", move_slice}, {"Gather", move_gather}, {"Expand", move_expand}, {"Tile", move_tile},
                             {"Resize", move_resize}, {"DepthToSpace", move_depth_to_space}, {"SpaceToDepth", move_space_to_depth}, {"Pad", move_pad}};

bool movable(Type type) { return type_bits(type) % 8 == 0 && type_bits(type) <= 64 && type != Type::none && type != Type::string; }

bool contiguous(const StridedCopy& copy) { return copy.axes.size() == 2 && copy.axes[0].extent == 1 && copy.axes[1].from == 1 && copy.axes[1].to == 1; }

void report_move(Planner& planner, std::unique_ptr<Step> step, const Node& node, ValueId result, const char* how) {
  step->report = {node.name, node.op_type, planner.graph.at(result).name, how, "", "", 0, 0, 0};
  planner.emit(std::move(step));
}

// Emits the copy, or makes the result a part of the source's memory where it is one.
void emit_move(Planner& planner, const Node& node, ValueId x, ValueId result, const StridedCopy& copy, SlotId source, const Storage& storage, const std::optional<Array>& filling) {
  if (contiguous(copy) && !filling && !planner.is_input(source) && !planner.homed(result)) {
    planner.keep(x);
    planner.keep(result);
    const SlotId target = planner.define_alias(result, storage, source, size_t(copy.from_offset) * size_t(copy.element_bytes));
    auto step = std::make_unique<ViewStep>();
    step->reads = {source};
    step->writes = target;
    return report_move(planner, std::move(step), node, result, "view");
  }
  const SlotId target = planner.define(result, storage);
  if (filling) {
    auto fill = std::make_unique<FillStep>(filling->cast(storage.type), int64_t(storage.bytes()) * 8 / type_bits(storage.type), target);
    report_move(planner, std::move(fill), node, result, "fill");
  }
  report_move(planner, std::make_unique<CopyStep>(copy, source, target), node, result, "strided copy");
}

struct MoveForm {
  Layout from, to;
};

// The layouts to try, best first: nothing converted, only the result plain, all plain.
std::vector<MoveForm> forms_to_try(Layout has) {
  if (has == Layout::plain) return {{Layout::plain, Layout::plain}};
  return {{has, has}, {has, Layout::plain}, {Layout::channels_last, Layout::plain}, {Layout::plain, Layout::plain}};
}

}  // namespace

bool lower_move(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const auto mover = std::find_if(std::begin(kMovers), std::end(kMovers), [&](const Mover& row) { return node.is(row.op); });
  if (mover == std::end(kMovers) || planner.graph.constant(node.inputs[0]) != nullptr || !movable(planner.graph.at(node.inputs[0]).type)) return false;
  const ValueId x = node.inputs[0], result = node.outputs[0];
  const Storage has = planner.form(x);
  for (const auto& [from, to] : forms_to_try(has.layout)) {
    Storage source{has.type, has.dims, from}, target{has.type, planner.dims(result), to};
    if (target.dims.size() != 4) target.layout = Layout::plain;
    const auto source_view = view_of(source), target_view = view_of(target);
    if (!source_view || !target_view) continue;
    Move move{planner, node, *source_view, *target_view, source.dims, target.dims, std::nullopt};
    if (!mover->build(move)) continue;
    const auto copy = copy_between(move.from, move.to, has.type);
    if (!copy) continue;
    emit_move(planner, node, x, result, *copy, planner.slot(x, from, has.type), target, move.filling);
    return true;
  }
  return false;
}

bool lower_split(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  if (!node.is("Split") || planner.graph.constant(node.inputs[0]) != nullptr || !movable(planner.graph.at(node.inputs[0]).type)) return false;
  const ValueId x = node.inputs[0];
  const Storage has = planner.form(x);
  const auto axis = size_t(normal_axis(node.integer("axis", 0), int64_t(has.dims.size()), node.where()));
  for (const auto& [from, to] : forms_to_try(has.layout)) {
    const auto view = view_of({has.type, has.dims, from});
    if (!view) continue;
    std::vector<std::pair<ValueId, StridedCopy>> copies;
    int64_t begin = 0;
    bool possible = true;
    for (ValueId id : node.outputs) {
      if (id == kNone) return false;
      const Dims part = planner.dims(id);
      View source = *view;
      const auto target = view_of({has.type, part, to});
      possible = possible && target && restrict_axis(source, axis, begin, part[axis]);
      const auto copy = possible ? copy_between(source, *target, has.type) : std::nullopt;
      possible = possible && copy;
      if (possible) copies.emplace_back(id, *copy);
      begin += part[axis];
    }
    if (!possible) continue;
    const SlotId source = planner.slot(x, from, has.type);
    for (const auto& [id, copy] : copies) emit_move(planner, node, x, id, copy, source, {has.type, planner.dims(id), to}, std::nullopt);
    return true;
  }
  return false;
}

bool lower_concat(Planner& planner, int n) {
  const Node& node = planner.graph.nodes[size_t(n)];
  const ValueId result = node.outputs[0];
  if (!node.is("Concat") || !movable(planner.graph.at(result).type)) return false;
  const Dims whole = planner.dims(result);
  const auto axis = size_t(normal_axis(node.integer("axis", 0), int64_t(whole.size()), node.where()));
  Type type = planner.graph.at(result).type;
  bool homed = false, constants = false;
  for (ValueId id : node.inputs) {
    homed |= planner.homed(id) && planner.existing(id) && planner.storage(*planner.existing(id)).layout == Layout::blocked;
    constants |= planner.graph.constant(id) != nullptr;
  }
  if (constants) return false;
  const Storage first = planner.form(node.inputs[0]);
  if (planner.graph.at(result).type == Type::f32) type = first.type;
  std::vector<Layout> layouts{Layout::plain};
  if (whole.size() == 4 && first.layout != Layout::plain) layouts.insert(layouts.begin(), first.layout);
  if (homed) layouts.insert(layouts.begin(), Layout::blocked);
  for (const Layout layout : layouts) {
    const auto target_view = view_of({type, whole, layout});
    if (!target_view) continue;
    std::vector<StridedCopy> copies;
    int64_t begin = 0;
    for (ValueId id : node.inputs) {
      View to = *target_view;
      const Dims part = planner.dims(id);
      const auto from = view_of({type, part, layout});
      const auto copy = from && restrict_axis(to, axis, begin, part[axis]) ? copy_between(*from, to, type) : std::nullopt;
      if (!copy) break;
      copies.push_back(*copy);
      begin += part[axis];
    }
    if (copies.size() != node.inputs.size()) continue;
    std::vector<SlotId> sources;
    for (ValueId id : node.inputs) sources.push_back(planner.slot(id, layout, type));
    const SlotId target = layout == Layout::blocked && axis == 1 ? planner.define_joined(result, type) : planner.define(result, {type, whole, layout});
    const auto& slots = planner.slots;
    const auto root = [&](SlotId id) { return slots[size_t(id)].alias >= 0 ? slots[size_t(id)].alias : id; };
    auto nothing = std::make_unique<ViewStep>();
    for (size_t i = 0; i < sources.size(); ++i) {
      const size_t place = slots[size_t(target)].shift + size_t(copies[i].to_offset * type_bits(type) / 8);
      if (root(sources[i]) == root(target) && slots[size_t(sources[i])].shift == place) nothing->reads.push_back(sources[i]);
      else report_move(planner, std::make_unique<CopyStep>(copies[i], sources[i], target), node, result, "strided copy");
    }
    if (nothing->reads.size() == sources.size()) {
      nothing->writes = target;
      report_move(planner, std::move(nothing), node, result, "in place");
    }
    return true;
  }
  return false;
}

}  // namespace pare
