#include "graph/links.h"

#include <algorithm>
#include <numeric>

#include "graph/op.h"

namespace pare {

const Dims& Links::dims(ValueId id) const { return *coupling_.dims_[size_t(id)]; }
bool Links::constant(ValueId id) const { return coupling_.graph_.constant(id) != nullptr; }

std::optional<std::vector<int64_t>> Links::integers(ValueId id) const {
  if (id == kNone || coupling_.known_[size_t(id)] == nullptr) return std::nullopt;
  const Tensor& tensor = *coupling_.known_[size_t(id)];
  if (!tensor.plain() || !is_integer(tensor.type)) return std::nullopt;
  return tensor.decode().to_integers();
}

void Links::tie_index(ValueId a, int axis_a, int64_t index_a, ValueId b, int axis_b, int64_t index_b) {
  coupling_.tie(coupling_.element(a, axis_a, index_a), coupling_.element(b, axis_b, index_b));
}

void Links::tie_range(ValueId a, int axis_a, int64_t start_a, ValueId b, int axis_b, int64_t start_b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) tie_index(a, axis_a, start_a + i, b, axis_b, start_b + i);
}

void Links::tie(ValueId a, int axis_a, ValueId b, int axis_b) {
  if (a == kNone || b == kNone) return;
  const int64_t n = extent(a, axis_a), m = extent(b, axis_b);
  if (n == m) return tie_range(a, axis_a, 0, b, axis_b, 0, n);
  if (n == 1 || m == 1) return;
  fix(a, axis_a, "its extents do not fit");
  fix(b, axis_b, "its extents do not fit");
}

void Links::fix_index(ValueId id, int axis, int64_t index, const std::string& why) {
  coupling_.fix(coupling_.element(id, axis, index), node_.op_type.empty() ? why : node_.where() + ": " + why);
}

void Links::fix(ValueId id, int axis, const std::string& why) {
  if (id == kNone) return;
  for (int64_t i = 0; i < extent(id, axis); ++i) fix_index(id, axis, i, why);
}

void Links::fix_all(ValueId id, const std::string& why) {
  if (id == kNone || !coupling_.dims_[size_t(id)]) return;
  for (int axis = 0; axis < rank(id); ++axis) fix(id, axis, why);
}

void Links::mark_heads(ValueId id, int axis) {
  for (int64_t i = 0; i < extent(id, axis); ++i) coupling_.heads_[size_t(coupling_.root(coupling_.element(id, axis, i)))] = 1;
}

bool Links::fixed(ValueId id, int axis) const {
  for (int64_t i = 0; i < extent(id, axis); ++i)
    if (coupling_.reason_[size_t(coupling_.root(coupling_.element(id, axis, i)))] < 0) return false;
  return true;
}

// Axes [first, last) of a value in a block of a reshape, with the strides inside the block.
struct Links::Side {
  ValueId id = kNone;
  std::vector<int> axes;  // that can be cut
  Dims strides;           // of the axes of the whole block
  int first = 0, last = 0;
  int64_t count = 1;
  int64_t stride(int axis) const { return strides[size_t(axis - first)]; }
};

Links::Side Links::side_of(ValueId id, size_t first, size_t last) const {
  Side side{id, {}, {}, int(first), int(last), 1};
  for (size_t axis = last; axis-- > first;) {
    side.strides.insert(side.strides.begin(), side.count);
    side.count *= dims(id)[axis];
  }
  for (size_t axis = first; axis < last; ++axis)
    if (dims(id)[axis] > 1 && !fixed(id, int(axis))) side.axes.push_back(int(axis));
  return side;
}

// Leaves one axis that can be cut; false: not now.
bool Links::choose(Side& side, bool may_choose) {
  if (side.axes.size() <= 1) return true;
  if (!may_choose) return false;
  const auto heads = [&](int axis) {
    for (int64_t i = 0; i < extent(side.id, axis); ++i)
      if (coupling_.heads_[size_t(coupling_.root(coupling_.element(side.id, axis, i)))]) return true;
    return false;
  };
  const int best = *std::max_element(side.axes.begin(), side.axes.end(), [&](int a, int b) {
    return std::make_tuple(heads(a), extent(side.id, a), a) < std::make_tuple(heads(b), extent(side.id, b), b);
  });
  for (int axis : side.axes)
    if (axis != best) fix(side.id, axis, "it folds several axes, and another of them is cut");
  side.axes = {best};
  return true;
}

// The axes of `open` cannot be cut for what the longest axis of `closed` cannot be cut for.
void Links::spread_reason(const Side& open, const Side& closed) {
  int longest = closed.first;
  for (int axis = closed.first; axis < closed.last; ++axis)
    if (extent(closed.id, axis) > extent(closed.id, longest)) longest = axis;
  for (int axis : open.axes)
    for (int64_t i = 0; i < extent(open.id, axis); ++i) coupling_.fix(coupling_.element(open.id, axis, i), coupling_.why_fixed(closed.id, longest));
}

void Links::tie_block(Side a, Side b) {
  if (a.axes.empty() || b.axes.empty()) {
    spread_reason(a, b);
    return spread_reason(b, a);
  }
  const bool open = a.axes.size() > 1 || b.axes.size() > 1;
  if (open) {
    const bool may = coupling_.choosing_;
    if (may) coupling_.choosing_ = false;
    if (!choose(a, may) || !choose(b, may)) return;
  }
  const int i = a.axes[0], j = b.axes[0];
  const int64_t step = std::gcd(a.stride(i), b.stride(j)), n = extent(a.id, i), m = extent(b.id, j);
  if (a.count / step > 1 << 24) return fix(a.id, i, "it folds too many elements"), fix(b.id, j, "it folds too many elements");
  // An element's place in the block says on which slice of either axis it lies.
  for (int64_t at = 0; at < a.count; at += step) tie_index(a.id, i, at / a.stride(i) % n, b.id, j, at / b.stride(j) % m);
}

void Links::tie_reshaped(ValueId a, ValueId b) {
  if (a == kNone || b == kNone) return;
  const Dims &x = dims(a), &y = dims(b);
  size_t i = 0, j = 0;
  while (i < x.size() && j < y.size()) {
    // The shortest runs of axes that hold the same number of elements.
    const size_t first_i = i, first_j = j;
    int64_t left = x[i++], right = y[j++];
    while (left != right) {
      if (left < right && i < x.size()) left *= x[i++];
      else if (right < left && j < y.size()) right *= y[j++];
      else return fix_all(a, "its extents do not fit"), fix_all(b, "its extents do not fit");
    }
    // Extents of 1 that stand alone against a longer axis: 1xC against C.
    tie_block(side_of(a, first_i, i), side_of(b, first_j, j));
  }
}

}  // namespace pare
