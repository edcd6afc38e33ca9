// Which channels element-wise operators tie together, and those that move, join, take or add up elements.
#include "graph/ops/links_of.h"

namespace pare {
namespace {

const char* const kPart = "only some of its elements are taken";
const char* const kRepeated = "it is repeated along this axis";
const char* const kSpatial = "it runs along the picture";
const char* const kReduced = "it is reduced over this axis";

void fix_all(Links& l, const std::string& why) {
  for (ValueId id : l.node().inputs) l.fix_all(id, why);
  for (ValueId id : l.node().outputs) l.fix_all(id, why);
}

void tie_all_but(Links& l, ValueId x, ValueId y, int64_t axis) {
  for (int i = 0; i < l.rank(x); ++i)
    if (i != axis) l.tie(x, i, y, i);
}

}  // namespace

void links_broadcast(Links& l) {
  const ValueId y = l.out();
  for (ValueId x : l.node().inputs)
    for (int i = 1; x != kNone && i <= l.rank(x); ++i) l.tie(x, l.rank(x) - i, y, l.rank(y) - i);
  for (size_t o = 1; o < l.node().outputs.size(); ++o)
    for (int i = 0; l.out(o) != kNone && i < l.rank(y); ++i) l.tie(l.out(o), i, y, i);
}

void links_reshape(Links& l) { l.tie_reshaped(l.in(0), l.out()); }

// Entries of the list of extents: -1 and computed ones follow by themselves, 0 where the axis it copies has the same extent.
void narrow_reshape(Narrowing& n) {
  const Dims in = n.after(n.in(0)), out = n.after(n.out());
  for (size_t i = 0; i < out.size(); ++i) {
    const auto entry = n.entry(1, i);
    if (!n.is_cut(n.out(), int(i)) || !entry || *entry == -1) continue;
    if (*entry == 0 && i < in.size() && in[i] == out[i] && n.node().integer("allowzero", 0) == 0) continue;
    n.set_entry(1, i, out[i]);
  }
}

void links_transpose(Links& l) {
  const int rank = l.rank(l.in(0));
  std::vector<int64_t> perm = l.node().integers("perm");
  if (perm.empty())
    for (int i = rank; i-- > 0;) perm.push_back(i);
  for (int i = 0; i < rank; ++i) l.tie(l.in(0), int(perm[size_t(i)]), l.out(), i);
}

void links_concat(Links& l) {
  const ValueId y = l.out();
  const int axis = int(normal_axis(l.node().integer("axis", 0), l.rank(y), l.node().where()));
  int64_t start = 0;
  for (ValueId x : l.node().inputs) {
    tie_all_but(l, x, y, axis);
    l.tie_range(x, axis, 0, y, axis, start, l.extent(x, axis));
    start += l.extent(x, axis);
  }
}

void links_split(Links& l) {
  const ValueId x = l.in(0);
  const int axis = int(normal_axis(l.node().integer("axis", 0), l.rank(x), l.node().where()));
  int64_t start = 0;
  for (size_t o = 0; o < l.node().outputs.size(); ++o) {
    if (l.out(o) == kNone) return fix_all(l, kPart);
    tie_all_but(l, x, l.out(o), axis);
    l.tie_range(x, axis, start, l.out(o), axis, 0, l.extent(l.out(o), axis));
    start += l.extent(l.out(o), axis);
  }
}

void narrow_split(Narrowing& n) {
  Node& node = n.node();
  const int axis = int(normal_axis(node.integer("axis", 0), int64_t(n.before(n.in(0)).size()), node.where()));
  if (!n.is_cut(n.in(0), axis)) return;
  std::vector<int64_t> sizes;
  for (size_t o = 0; o < node.outputs.size(); ++o) sizes.push_back(n.after(n.out(o))[size_t(axis)]);
  if (n.opset() < 13) {
    node.attributes["split"] = sizes;
    return;
  }
  node.attributes.erase("num_outputs");
  n.set_integers(1, sizes);
}

void links_slice(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  const auto starts = l.integers(l.in(1)), ends = l.integers(l.in(2)), axes = l.integers(l.in(3)), steps = l.integers(l.in(4));
  if (!starts || !ends || (l.in(3) != kNone && !axes) || (l.in(4) != kNone && !steps)) return fix_all(l, "what it takes is known only when it runs");
  const auto cuts = cuts_of(l.node(), l.dims(x), *starts, *ends, axes.value_or(std::vector<int64_t>()), steps.value_or(std::vector<int64_t>()));
  for (int i = 0; i < l.rank(x); ++i) {
    const Cut& cut = cuts[size_t(i)];
    if (cut.step == 1 && cut.extent == l.extent(y, i)) {
      l.tie_range(x, i, cut.start, y, i, 0, cut.extent);
    } else {
      l.fix(x, i, kPart);
      l.fix(y, i, kPart);
    }
  }
}

void narrow_slice(Narrowing& n) {
  const Dims dims = n.before(n.in(0));
  const size_t count = size_t(count_of(n.before(n.in(1))));
  std::vector<int64_t> starts, ends, axes = n.integers(3).value_or(std::vector<int64_t>());
  for (size_t i = 0; i < count; ++i) {
    const int axis = int(normal_axis(axes.empty() ? int64_t(i) : axes[i], int64_t(dims.size()), n.node().where()));
    const auto start = n.entry(1, i);
    if (!n.is_cut(n.in(0), axis) || !start) continue;
    const int64_t extent = dims[size_t(axis)], first = std::clamp<int64_t>(*start < 0 ? *start + extent : *start, 0, extent);
    const int64_t begin = n.kept_before(n.in(0), axis, first);
    n.set_entry(1, i, begin);
    n.set_entry(2, i, begin + n.after(n.out())[size_t(axis)]);
  }
}

namespace {

struct Border {
  int axis = 0;
  int64_t front = 0, behind = 0;
  size_t at = 0, count = 0;  // front is entry `at` of the pads, behind entry at + count
};
std::optional<std::vector<Border>> borders_of(const Node& node, int64_t rank, std::optional<std::vector<int64_t>> pads, std::optional<std::vector<int64_t>> axes) {
  if (!pads) return std::nullopt;
  if (!axes || axes->empty()) {
    axes.emplace();
    for (int64_t i = 0; i < rank; ++i) axes->push_back(i);
  }
  if (pads->size() != 2 * axes->size()) return std::nullopt;
  std::vector<Border> borders;
  for (size_t i = 0; i < axes->size(); ++i)
    borders.push_back({int(normal_axis((*axes)[i], rank, node.where())), (*pads)[i], (*pads)[i + axes->size()], i, axes->size()});
  return borders;
}

}  // namespace

void links_pad(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  const auto pads = l.in(1) != kNone ? l.integers(l.in(1)) : std::optional(l.node().integers("pads"));
  const auto borders = l.in(3) != kNone && !l.integers(l.in(3)) ? std::nullopt : borders_of(l.node(), l.rank(x), pads, l.integers(l.in(3)));
  if (!borders) return fix_all(l, "what it adds is known only when it runs");
  std::vector<int64_t> front(size_t(l.rank(x)), 0), behind = front;
  for (const Border& border : *borders) front[size_t(border.axis)] = border.front, behind[size_t(border.axis)] = border.behind;
  const bool constant = l.node().text("mode", "constant") == "constant";
  for (int i = 0; i < l.rank(x); ++i) {
    const int64_t before = front[size_t(i)], after = behind[size_t(i)];
    if ((before == 0 && after == 0) || (constant && before >= 0 && after >= 0)) {
      l.tie_range(x, i, 0, y, i, before, l.extent(x, i));
    } else {
      l.fix(x, i, "its border repeats elements");
      l.fix(y, i, "its border repeats elements");
    }
  }
}

void narrow_pad(Narrowing& n) {
  Node& node = n.node();
  std::vector<int64_t> pads = n.in(1) != kNone ? n.integers(1).value_or(std::vector<int64_t>()) : node.integers("pads");
  const auto borders = borders_of(node, int64_t(n.before(n.in(0)).size()), pads, n.integers(3));
  if (!borders) return;
  for (const Border& border : *borders) {
    if (!n.is_cut(n.out(), border.axis)) continue;
    const int64_t front = n.kept_before(n.out(), border.axis, border.front);
    pads[border.at] = front;
    pads[border.at + border.count] = n.after(n.out())[size_t(border.axis)] - n.after(n.in(0))[size_t(border.axis)] - front;
  }
  if (n.in(1) != kNone) n.set_integers(1, pads);
  else node.attributes["pads"] = pads;
}

void links_expand(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  const int missing = l.rank(y) - l.rank(x);
  for (int i = 0; i < l.rank(y); ++i) {
    if (i >= missing && l.extent(x, i - missing) == l.extent(y, i)) l.tie(x, i - missing, y, i);
    else l.fix(y, i, kRepeated);
  }
}

void narrow_expand(Narrowing& n) {
  const Dims out = n.after(n.out());
  const size_t entries = size_t(count_of(n.before(n.in(1))));
  for (size_t i = 0; i < entries; ++i) {
    const size_t axis = out.size() - entries + i;
    const auto entry = n.entry(1, i);
    if (n.is_cut(n.out(), int(axis)) && entry && *entry > 1) n.set_entry(1, i, out[axis]);
  }
}

void links_tile(Links& l) {
  const auto repeats = l.integers(l.in(1));
  for (int i = 0; i < l.rank(l.in(0)); ++i) {
    if (repeats && i < int(repeats->size()) && (*repeats)[size_t(i)] == 1) {
      l.tie(l.in(0), i, l.out(), i);
    } else {
      l.fix(l.in(0), i, kRepeated);
      l.fix(l.out(), i, kRepeated);
    }
  }
}

namespace {

// Channel c of `few` and the b·b channels of `many` it becomes.
void tie_blocks(Links& l, ValueId many, ValueId few, bool channel_inside) {
  const int64_t channels = l.extent(few, 1), blocks = l.extent(many, 1) / channels;
  l.tie(many, 0, few, 0);
  for (ValueId id : {many, few})
    for (int axis = 2; axis < l.rank(id); ++axis) l.fix(id, axis, kSpatial);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t b = 0; b < blocks; ++b) l.tie_index(many, 1, channel_inside ? b * channels + c : c * blocks + b, few, 1, c);
}

}  // namespace

void links_depth_to_space(Links& l) { tie_blocks(l, l.in(0), l.out(), l.node().text("mode", "DCR") == "DCR"); }
void links_space_to_depth(Links& l) { tie_blocks(l, l.out(), l.in(0), l.node().text("mode", "DCR") == "DCR"); }

// Batch and channels are not resized.
void links_resize(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  for (int i = 0; i < l.rank(x); ++i) {
    if (i < 2 && l.rank(x) > 2 && l.extent(x, i) == l.extent(y, i)) {
      l.tie(x, i, y, i);
    } else {
      l.fix(x, i, kSpatial);
      l.fix(y, i, kSpatial);
    }
  }
}

void narrow_resize(Narrowing& n) {
  if (n.in(3) == kNone) return;
  const Dims out = n.after(n.out());
  std::vector<int64_t> axes = n.node().integers("axes");
  if (axes.empty())
    for (size_t i = 0; i < out.size(); ++i) axes.push_back(int64_t(i));
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = normal_axis(axes[i], int64_t(out.size()), n.node().where());
    if (n.is_cut(n.out(), int(axis))) n.set_entry(3, i, out[size_t(axis)]);
  }
}

void links_gather(Links& l) {
  const ValueId x = l.in(0), at = l.in(1), y = l.out();
  const int axis = int(normal_axis(l.node().integer("axis", 0), l.rank(x), l.node().where())), places = l.rank(at);
  for (int i = 0; i < l.rank(x); ++i)
    if (i != axis) l.tie(x, i, y, i < axis ? i : i + places - 1);
  const auto indices = l.integers(at);
  if (!indices || !l.constant(at) || places > 1) {
    l.fix(x, axis, "its places are known only when it runs");
    for (int i = 0; i < places; ++i) l.fix(y, axis + i, "its places are known only when it runs");
    return;
  }
  for (size_t i = 0; i < indices->size(); ++i) {
    const int64_t index = checked_index((*indices)[i], l.extent(x, axis), l.node().where());
    if (places == 1) l.tie_index(x, axis, index, y, axis, int64_t(i));
    else l.fix_index(x, axis, index, "it is taken alone");
  }
}

void narrow_gather(Narrowing& n) {
  const Dims dims = n.before(n.in(0));
  const int axis = int(normal_axis(n.node().integer("axis", 0), int64_t(dims.size()), n.node().where()));
  const auto indices = n.integers(1);
  if (!n.is_cut(n.in(0), axis) || !indices) return;
  std::vector<int64_t> kept;
  for (int64_t index : *indices) {
    if (index < 0) index += dims[size_t(axis)];
    if (n.is_kept(n.in(0), axis, index)) kept.push_back(n.kept_before(n.in(0), axis, index));
  }
  n.set_integers(1, kept);
}

namespace {

void reduce(Links& l, bool sums) {
  const ValueId x = l.in(0), y = l.out();
  std::vector<int64_t> axes = l.node().integers("axes");
  if (l.in(1) != kNone) {
    if (!l.integers(l.in(1))) return fix_all(l, "its axes are known only when it runs");
    axes = *l.integers(l.in(1));
  }
  if (axes.empty() && l.node().integer("noop_with_empty_axes", 0) == 0)
    for (int i = 0; i < l.rank(x); ++i) axes.push_back(i);
  for (int64_t& axis : axes) axis = normal_axis(axis, l.rank(x), l.node().where());
  const bool keep = l.node().integer("keepdims", 1) != 0;
  int to = 0;
  for (int i = 0; i < l.rank(x); ++i) {
    const bool reduced = std::find(axes.begin(), axes.end(), int64_t(i)) != axes.end();
    if (reduced && !sums) l.fix(x, i, kReduced);
    if (!reduced) l.tie(x, i, y, to);
    if (!reduced || keep) ++to;
  }
}

}  // namespace

void links_reduce(Links& l) { reduce(l, true); }
void links_reduce_others(Links& l) { reduce(l, false); }

void links_along_axis(Links& l) {
  const int rank = l.rank(l.in(0));
  const int64_t axis = l.node().is("LRN") ? 1 : normal_axis(l.node().integer("axis", -1), rank, l.node().where());
  for (int i = 0; i < rank; ++i) l.tie(l.in(0), i, l.out(), i);
  l.fix(l.in(0), int(axis), "it is normalized over this axis");
}

// One scale for all, or one a slice of `axis`.
void links_quantize(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  for (int i = 0; i < l.rank(x); ++i) l.tie(x, i, y, i);
  for (size_t i = 1; i < 3; ++i) {
    const ValueId scale = l.in(i);
    if (scale == kNone || count_of(l.dims(scale)) == 1) continue;
    if (l.rank(scale) != 1) return fix_all(l, "its scales are those of blocks");
    l.tie(scale, 0, x, int(normal_axis(l.node().integer("axis", 1), l.rank(x), l.node().where())));
  }
}

}  // namespace pare
