// Which channels layers and normalizations tie together.
#include "graph/ops/links_of.h"

namespace pare {
namespace {

const char* const kSpatial = "it runs along the picture";
const char* const kNormalized = "it is normalized over this axis";

// Axis 1 of x and y in `group` parts that keep their number: slice i of every part is one with slice i of axis `axis` of w.
void tie_parts(Links& l, ValueId x, ValueId w, int axis, int64_t group) {
  const int64_t part = l.extent(x, 1) / group;
  for (int64_t g = 0; g < group; ++g) l.tie_range(x, 1, g * part, w, axis, 0, part);
}

// All of slices [first, first + count).
void tie_run(Links& l, ValueId id, int axis, int64_t first, int64_t count) {
  for (int64_t i = 1; i < count; ++i) l.tie_index(id, axis, first, id, axis, first + i);
}

// Whole groups go: the part of x and the part of y that belong to each.
void tie_groups(Links& l, ValueId x, ValueId y, int64_t group) {
  const int64_t in = l.extent(x, 1) / group, out = l.extent(y, 1) / group;
  for (int64_t g = 0; g < group; ++g) {
    tie_run(l, x, 1, g * in, in);
    tie_run(l, y, 1, g * out, out);
    l.tie_index(x, 1, g * in, y, 1, g * out);
  }
}

bool fits(const Links& l, ValueId w, int64_t group) {
  return l.rank(l.in(0)) >= 3 && l.rank(w) == l.rank(l.in(0)) && group >= 1 && l.extent(l.in(0), 1) % group == 0 && l.extent(l.out(), 1) % group == 0;
}

// Many small groups are cut whole; of few large ones each loses the same channels.
bool whole_groups(int64_t group, int64_t part) { return part == 1 || group > part; }

void fix_spatial(Links& l, std::initializer_list<ValueId> ids) {
  for (ValueId id : ids)
    for (int axis = 2; axis < l.rank(id); ++axis) l.fix(id, axis, kSpatial);
}

}  // namespace

void links_conv(Links& l) {
  const ValueId x = l.in(0), w = l.in(1), y = l.out();
  const int64_t group = l.node().integer("group", 1);
  if (!fits(l, w, group)) return l.fix_all(x, "its extents do not fit"), l.fix_all(w, "its extents do not fit"), l.fix_all(y, "its extents do not fit");
  fix_spatial(l, {x, w, y});
  l.tie(x, 0, y, 0);
  l.tie(w, 0, y, 1);
  if (l.in(2) != kNone) l.tie(l.in(2), 0, y, 1);
  if (group == 1) return l.tie(x, 1, w, 1);
  if (whole_groups(group, l.extent(w, 1))) {
    tie_groups(l, x, y, group);
    return l.fix(w, 1, "whole groups are cut");
  }
  tie_parts(l, x, w, 1, group);
  const int64_t part = l.extent(y, 1) / group;
  for (int64_t g = 1; g < group; ++g) l.tie_range(y, 1, 0, y, 1, g * part, part);
}

void links_conv_transpose(Links& l) {
  const ValueId x = l.in(0), w = l.in(1), y = l.out();
  const int64_t group = l.node().integer("group", 1);
  if (!fits(l, w, group)) return l.fix_all(x, "its extents do not fit"), l.fix_all(w, "its extents do not fit"), l.fix_all(y, "its extents do not fit");
  fix_spatial(l, {x, w, y});
  l.tie(x, 0, y, 0);
  l.tie(w, 0, x, 1);
  if (l.in(2) != kNone) l.tie(l.in(2), 0, y, 1);
  if (group == 1) return l.tie(w, 1, y, 1);
  if (whole_groups(group, l.extent(x, 1) / group)) {
    tie_groups(l, x, y, group);
    return l.fix(w, 1, "whole groups are cut");
  }
  tie_parts(l, y, w, 1, group);
  const int64_t part = l.extent(x, 1) / group;
  for (int64_t g = 1; g < group; ++g) l.tie_range(x, 1, 0, x, 1, g * part, part);
}

void narrow_conv(Narrowing& n) {
  if (n.node().integer("group", 1) == 1) return;
  const int64_t part = n.after(n.in(1))[1];
  n.node().attributes["group"] = n.after(n.node().is("ConvTranspose") ? n.out() : n.in(0))[1] / part;
}

void links_gemm(Links& l) {
  const ValueId a = l.in(0), b = l.in(1), c = l.in(2), y = l.out();
  const int inner_a = l.node().integer("transA", 0) != 0 ? 0 : 1, inner_b = l.node().integer("transB", 0) != 0 ? 1 : 0;
  l.tie(a, 1 - inner_a, y, 0);
  l.tie(a, inner_a, b, inner_b);
  l.tie(b, 1 - inner_b, y, 1);
  if (c == kNone) return;
  for (int i = 1; i <= l.rank(c); ++i) l.tie(c, l.rank(c) - i, y, 2 - i);
}

void links_matmul(Links& l) {
  const ValueId a = l.in(0), b = l.in(1), y = l.out();
  const int ra = l.rank(a), rb = l.rank(b), ry = l.rank(y);
  l.tie(a, ra - 1, b, rb == 1 ? 0 : rb - 2);
  if (ra > 1) l.tie(a, ra - 2, y, ry - (rb == 1 ? 1 : 2));
  if (rb > 1) l.tie(b, rb - 1, y, ry - 1);
  if (ra < 2 || rb < 2) {
    // One side has no batch axes of its own.
    for (int i = 3; i <= std::max(ra, rb); ++i) l.tie(ra > rb ? a : b, std::max(ra, rb) - i, y, std::max(ra, rb) - i);
    return;
  }
  for (int i = 3; i <= ry; ++i) {
    for (ValueId id : {a, b})
      if (i <= l.rank(id)) l.tie(id, l.rank(id) - i, y, ry - i);
    if (!l.constant(a) && !l.constant(b) && l.extent(y, ry - i) > 1) l.mark_heads(y, ry - i);
  }
}

void links_batch_normalization(Links& l) {
  const ValueId x = l.in(0);
  for (size_t o = 0; o < l.node().outputs.size(); ++o)
    if (o > 0 && l.out(o) != kNone) return l.fix_all(x, "it is trained"), l.fix_all(l.out(), "it is trained");
  for (int axis = 0; axis < l.rank(x); ++axis) l.tie(x, axis, l.out(), axis);
  for (size_t i = 1; i < 5; ++i)
    if (l.rank(x) > 1) l.tie(l.in(i), 0, x, 1);
}

void links_instance_normalization(Links& l) {
  const ValueId x = l.in(0);
  fix_spatial(l, {x, l.out()});
  for (int axis = 0; axis < 2; ++axis) l.tie(x, axis, l.out(), axis);
  l.tie(l.in(1), 0, x, 1);
  l.tie(l.in(2), 0, x, 1);
}

void links_group_normalization(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  const int64_t group = l.node().integer("num_groups", 1), channels = l.extent(x, 1);
  fix_spatial(l, {x, y});
  l.tie(x, 0, y, 0);
  l.tie(x, 1, y, 1);
  if (group < 1 || channels % group != 0) return l.fix(x, 1, "its groups do not fit");
  const int64_t part = channels / group;
  for (int64_t g = 0; g < group; ++g) {
    tie_run(l, x, 1, g * part, part);
    for (size_t i = 1; i < 3; ++i)
      if (l.extent(l.in(i), 0) == channels) l.tie_range(l.in(i), 0, g * part, x, 1, g * part, part);
      else l.tie_index(l.in(i), 0, g, x, 1, g * part);
  }
}

void narrow_group_normalization(Narrowing& n) {
  const int64_t group = n.node().integer("num_groups", 1);
  n.node().attributes["num_groups"] = n.after(n.in(0))[1] / (n.before(n.in(0))[1] / group);
}

// Axes from `axis` on are normalized together.
void links_layer_normalization(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  const int64_t axis = normal_axis(l.node().integer("axis", -1), l.rank(x), l.node().where());
  for (int i = 0; i < l.rank(x); ++i) {
    l.tie(x, i, y, i);
    if (i >= axis) l.fix(x, i, kNormalized);
  }
  for (size_t i = 1; i < l.node().inputs.size(); ++i) l.fix_all(l.in(i), kNormalized);
  for (size_t o = 1; o < l.node().outputs.size(); ++o) l.fix_all(l.out(o), kNormalized);
}

void links_softmax(Links& l) {
  const int64_t axis = normal_axis(l.node().integer("axis", l.opset() >= 13 ? -1 : 1), l.rank(l.in(0)), l.node().where());
  for (int i = 0; i < l.rank(l.in(0)); ++i) {
    l.tie(l.in(0), i, l.out(), i);
    if (i == axis || (l.opset() < 13 && i > axis)) l.fix(l.in(0), i, kNormalized);
  }
}

void links_pool(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  if (l.rank(x) < 3) return l.fix_all(x, kSpatial), l.fix_all(y, kSpatial);
  fix_spatial(l, {x, y});
  for (int axis = 0; axis < 2; ++axis) l.tie(x, axis, y, axis);
  l.fix_all(l.out(1), "places of maxima count through all channels");
  if (l.out(1) != kNone) l.fix(x, 1, "places of maxima count through all channels");
}

void links_grid_sample(Links& l) {
  const ValueId x = l.in(0), y = l.out();
  fix_spatial(l, {x, y});
  l.fix_all(l.in(1), "it holds places");
  for (int axis = 0; axis < 2; ++axis) l.tie(x, axis, y, axis);
}

}  // namespace pare
