#include <cstring>

#include "graph/ops/links_of.h"

namespace pare {
namespace {

// Operators that move elements without looking at them work on the bytes, for every type of whole bytes.

// y[i] = x[offset(i)] where offsets follow `strides` over `out` from `start`.
Array gather_strided(const Forward& f, const Array& x, const Dims& out, const Dims& strides, int64_t start = 0) {
  const size_t size = element_size(f.node, x);
  Array y(x.type(), out);
  std::byte* to = y.mutable_bytes();
  for_each_index(out, strides, [&](int64_t i, int64_t at) { std::memcpy(to + size_t(i) * size, x.bytes() + size_t(start + at) * size, size); });
  return y;
}

std::vector<int64_t> permutation(const Node& node, size_t rank) {
  std::vector<int64_t> perm = node.integers("perm");
  if (perm.empty())
    for (size_t i = rank; i-- > 0;) perm.push_back(int64_t(i));
  std::vector<char> seen(rank, 0);
  bool right = perm.size() == rank;
  for (size_t i = 0; right && i < rank; ++i) right = perm[i] >= 0 && perm[i] < int64_t(rank) && !seen[size_t(perm[i])]++;
  if (!right) throw Error(node.where(), "perm is no permutation of " + std::to_string(rank) + " axes");
  return perm;
}
void infer_transpose(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr) return;
  Shape out;
  for (int64_t axis : permutation(in.node(), x->size())) out.push_back((*x)[size_t(axis)]);
  in.set(0, in.type(0), out);
}
void forward_transpose(Forward& f) {
  const Array& x = f.in(0);
  const Dims own = strides_of(x.dims());
  Dims out, strides;
  for (int64_t axis : permutation(f.node, x.dims().size())) {
    out.push_back(x.dim(int(axis)));
    strides.push_back(own[size_t(axis)]);
  }
  f.outputs[0] = gather_strided(f, x, out, strides);
}

void infer_concat(Inference& in) {
  in.set_type(0, in.type(0));
  Shape out;
  for (size_t i = 0; i < in.inputs(); ++i) {
    const Shape* x = in.shape(i);
    if (x == nullptr) return;
    if (x->empty()) in.fail("joins scalars");
    const auto axis = size_t(normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where()));
    if (i == 0) { out = *x; continue; }
    if (in.type(i) != in.type(0)) in.fail("joins tensors of two types");
    if (x->size() != out.size()) in.fail("inputs have different ranks");
    for (size_t k = 0; k < out.size(); ++k) {
      if (k == axis) out[k] = out[k].known() && (*x)[k].known() ? Dim{out[k].value + (*x)[k].value, ""} : Dim{};
      else if (!out[k].known()) out[k] = (*x)[k];
      else if ((*x)[k].known() && (*x)[k].value != out[k].value) in.fail("inputs differ in axis " + std::to_string(k));
    }
  }
  in.set(0, in.type(0), out);
}
void forward_concat(Forward& f) {
  const auto axis = size_t(normal_axis(f.node.integer("axis", 0), f.in(0).rank(), f.node.where()));
  Dims out = f.in(0).dims();
  out[axis] = 0;
  for (const Array& x : f.inputs) out[axis] += x.dims().at(axis);
  Array y(f.in(0).type(), out);
  const size_t size = element_size(f.node, y);
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < axis; ++i) outer *= out[i];
  for (size_t i = axis + 1; i < out.size(); ++i) inner *= out[i];
  std::byte* to = y.mutable_bytes();
  for (int64_t o = 0; o < outer; ++o)
    for (const Array& x : f.inputs) {
      const size_t bytes = size_t(x.dims()[axis] * inner) * size;
      if (bytes > 0) std::memcpy(to, x.bytes() + size_t(o) * bytes, bytes);
      to += bytes;
    }
  f.outputs[0] = y;
}

std::vector<int64_t> split_sizes(const Node& node, int64_t extent, std::optional<std::vector<int64_t>> given) {
  std::vector<int64_t> sizes = given ? *given : node.integers("split");
  if (sizes.empty()) {
    const int64_t parts = node.integer("num_outputs", int64_t(node.outputs.size()));
    check_count(node, int64_t(node.outputs.size()), parts, "outputs");
    const int64_t chunk = (extent + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i) sizes.push_back(std::clamp<int64_t>(extent - i * chunk, 0, chunk));
  }
  int64_t sum = 0;
  for (int64_t s : sizes) {
    if (s < 0 || s > extent) throw Error(node.where(), "has a part of extent " + std::to_string(s));
    sum += s;
  }
  if (sum != extent || sizes.size() != node.outputs.size()) throw Error(node.where(), "the parts do not add up to the extent " + std::to_string(extent));
  return sizes;
}
void infer_split(Inference& in) {
  for (size_t i = 0; i < in.node().outputs.size(); ++i) in.set_type(i, in.type(0));
  const Shape* x = in.shape(0);
  if (x == nullptr || (in.has(1) && !in.integers(1))) return;
  const auto axis = size_t(normal_axis(in.node().integer("axis", 0), int64_t(x->size()), in.node().where()));
  if (!(*x)[axis].known()) return;
  const auto sizes = split_sizes(in.node(), (*x)[axis].value, in.integers(1));
  for (size_t i = 0; i < sizes.size(); ++i) {
    Shape out = *x;
    out[axis] = {sizes[i], ""};
    in.set(i, in.type(0), out);
  }
}
void forward_split(Forward& f) {
  const Array& x = f.in(0);
  const auto axis = size_t(normal_axis(f.node.integer("axis", 0), x.rank(), f.node.where()));
  std::optional<std::vector<int64_t>> given;
  if (f.has(1)) given = f.in(1).to_integers();
  const Dims strides = strides_of(x.dims());
  int64_t start = 0;
  const auto sizes = split_sizes(f.node, x.dims()[axis], given);
  for (size_t i = 0; i < sizes.size(); ++i) {
    Dims out = x.dims();
    out[axis] = sizes[i];
    f.outputs[i] = gather_strided(f, x, out, strides, start * strides[axis]);
    start += sizes[i];
  }
}

}  // namespace

std::vector<Cut> cuts_of(const Node& node, const Dims& dims, const std::vector<int64_t>& starts, const std::vector<int64_t>& ends,
                         std::vector<int64_t> axes, const std::vector<int64_t>& steps) {
  std::vector<Cut> cuts;
  for (int64_t extent : dims) cuts.push_back({0, 1, extent});
  if (axes.empty())
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(int64_t(i));
  if (ends.size() != starts.size() || axes.size() != starts.size() || (!steps.empty() && steps.size() != starts.size()))
    throw Error(node.where(), "starts, ends, axes and steps differ in length");
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto axis = size_t(normal_axis(axes[i], int64_t(dims.size()), node.where()));
    const int64_t n = dims[axis], step = steps.empty() ? 1 : std::clamp(steps[i], -(int64_t(1) << 40), int64_t(1) << 40);
    if (step == 0) throw Error(node.where(), "a step is 0");
    if (n == 0) { cuts[axis] = {0, step, 0}; continue; }
    auto bound = [&](int64_t at, int64_t least, int64_t most) { return std::clamp(at < 0 ? std::max(at, -n - 1) + n : at, least, most); };
    const int64_t first = step > 0 ? bound(starts[i], 0, n) : bound(starts[i], 0, n - 1);
    const int64_t last = step > 0 ? bound(ends[i], 0, n) : (ends[i] < -n ? -1 : bound(ends[i], -1, n - 1));
    const int64_t length = step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step;
    cuts[axis] = {first, step, std::max<int64_t>(0, length)};
  }
  return cuts;
}

namespace {

void infer_slice(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  const auto starts = in.integers(1), ends = in.integers(2);
  if (x == nullptr) return;
  if (!starts || !ends || (in.has(3) && !in.integers(3)) || (in.has(4) && !in.integers(4))) return in.set(0, in.type(0), Shape(x->size()));
  Dims dims;
  for (const Dim& dim : *x) dims.push_back(dim.known() ? dim.value : 0);
  const auto axes = in.integers(3).value_or(std::vector<int64_t>());
  const auto cuts = cuts_of(in.node(), dims, *starts, *ends, axes, in.integers(4).value_or(std::vector<int64_t>()));
  Shape out = *x;
  for (size_t i = 0; i < starts->size(); ++i) {
    const auto axis = size_t(normal_axis(axes.empty() ? int64_t(i) : axes[i], int64_t(x->size()), in.node().where()));
    out[axis] = (*x)[axis].known() ? Dim{cuts[axis].extent, ""} : Dim{};
  }
  in.set(0, in.type(0), out);
}
void forward_slice(Forward& f) {
  const Array& x = f.in(0);
  const auto axes = f.has(3) ? f.in(3).to_integers() : std::vector<int64_t>(), steps = f.has(4) ? f.in(4).to_integers() : std::vector<int64_t>();
  const auto cuts = cuts_of(f.node, x.dims(), f.in(1).to_integers(), f.in(2).to_integers(), axes, steps);
  const Dims own = strides_of(x.dims());
  Dims out, strides;
  int64_t start = 0;
  for (size_t i = 0; i < cuts.size(); ++i) {
    out.push_back(cuts[i].extent);
    strides.push_back(own[i] * cuts[i].step);
    start += own[i] * cuts[i].start;
  }
  f.outputs[0] = gather_strided(f, x, out, strides, start);
}

void check_pads(const Node& node, const std::vector<int64_t>& pads) {
  for (int64_t pad : pads)
    if (pad < -(int64_t(1) << 40) || pad > int64_t(1) << 40) throw Error(node.where(), "pads by " + std::to_string(pad));
}
void infer_pad(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  const auto pads = in.has(1) ? in.integers(1) : std::optional(in.node().integers("pads"));
  if (x == nullptr || !pads) return;
  check_pads(in.node(), *pads);
  if (in.has(3) && !in.integers(3)) return in.set(0, in.type(0), Shape(x->size()));
  std::vector<int64_t> axes = in.integers(3).value_or(std::vector<int64_t>());
  if (axes.empty())
    for (size_t i = 0; i < x->size(); ++i) axes.push_back(int64_t(i));
  if (pads->size() != 2 * axes.size()) in.fail("has " + std::to_string(pads->size()) + " pads for " + std::to_string(axes.size()) + " axes");
  Shape out = *x;
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = out[size_t(normal_axis(axes[i], int64_t(x->size()), in.node().where()))];
    const int64_t more = (*pads)[i] + (*pads)[i + axes.size()];
    if (dim.known() && dim.value + more < 0) in.fail("crops more than there is of " + shape_text(*x));
    if (dim.known()) dim.value += more;
    else if (more != 0) dim = {};
  }
  in.set(0, in.type(0), out);
}
void forward_pad(Forward& f) {
  const Array& x = f.in(0);
  const auto rank = x.dims().size();
  const std::vector<int64_t> given = f.has(1) ? f.in(1).to_integers() : f.node.integers("pads");
  check_pads(f.node, given);
  std::vector<int64_t> axes = f.has(3) ? f.in(3).to_integers() : std::vector<int64_t>(), before(rank, 0), after(rank, 0);
  if (axes.empty())
    for (size_t i = 0; i < rank; ++i) axes.push_back(int64_t(i));
  if (given.size() != 2 * axes.size()) throw Error(f.node.where(), "has " + std::to_string(given.size()) + " pads for " + std::to_string(axes.size()) + " axes");
  Dims out = x.dims();
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = size_t(normal_axis(axes[i], int64_t(rank), f.node.where()));
    before[axis] = given[i];
    out[axis] += given[i] + given[i + axes.size()];
  }
  const std::string mode = f.node.text("mode", "constant");
  Array filling(x.type(), {});
  if (f.has(2)) scalar_of(f, 2), filling = f.in(2).cast(x.type());
  if (x.count() == 0 && mode != "constant") throw Error(f.node.where(), "has nothing to repeat in " + dims_text(x.dims()));
  const size_t size = element_size(f.node, x);
  Array y(x.type(), out);
  std::byte* to = y.mutable_bytes();
  const Dims strides = strides_of(x.dims()), out_strides = strides_of(out);
  for (int64_t i = 0; i < y.count(); ++i) {
    int64_t offset = 0;
    bool inside = true;
    for (size_t axis = 0; axis < rank; ++axis) {
      const int64_t n = x.dims()[axis];
      int64_t at = i / out_strides[axis] % out[axis] - before[axis];
      if (mode == "edge") at = std::clamp<int64_t>(at, 0, n - 1);
      else if (mode == "wrap") at = (at % n + n) % n;
      else if (mode == "reflect" && n > 1) { const int64_t period = 2 * (n - 1); at = (at % period + period) % period; at = std::min(at, period - at); }
      inside &= at >= 0 && at < n;
      offset += at * strides[axis];
    }
    if (inside) std::memcpy(to + size_t(i) * size, x.bytes() + size_t(offset) * size, size);
    else std::memcpy(to + size_t(i) * size, filling.bytes(), size);
  }
  f.outputs[0] = y;
}

void infer_expand(Inference& in) {
  in.set_type(0, in.type(0));
  const auto wanted = in.integers(1);
  if (in.shape(0) == nullptr || !wanted) return;
  const Shape other = shape_of(*wanted);
  if (auto shape = broadcast_shapes(in.shape(0), &other, in.node().where())) in.set(0, in.type(0), *shape);
}
void forward_expand(Forward& f) {
  const Dims out = broadcast(f.in(0).dims(), f.in(1).to_integers(), f.node.where());
  f.outputs[0] = gather_strided(f, f.in(0), out, broadcast_strides(f.in(0).dims(), out));
}

void infer_tile(Inference& in) {
  in.set_type(0, in.type(0));
  const auto repeats = in.integers(1);
  const Shape* x = in.shape(0);
  if (x == nullptr || !repeats) return;
  for (int64_t n : *repeats)
    if (n < 0 || n > int64_t(1) << 40) in.fail("repeats " + std::to_string(n) + " times");
  if (repeats->size() != x->size()) in.fail("has " + std::to_string(repeats->size()) + " repeats for rank " + std::to_string(x->size()));
  Shape out = *x;
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i].known()) out[i].value = count_of({out[i].value, (*repeats)[i]}, in.node().where());
  in.set(0, in.type(0), out);
}
void forward_tile(Forward& f) {
  const std::vector<int64_t> repeats = f.in(1).to_integers();
  const Array& x = f.in(0);
  if (repeats.size() != x.dims().size()) throw Error(f.node.where(), "has " + std::to_string(repeats.size()) + " repeats for rank " + std::to_string(x.rank()));
  // Each axis becomes a pair (repeat with stride 0, extent), then the pairs merge.
  const Dims own = strides_of(x.dims());
  Dims pairs, strides, out;
  for (size_t i = 0; i < repeats.size(); ++i) {
    if (repeats[i] < 0) throw Error(f.node.where(), "repeats " + std::to_string(repeats[i]) + " times");
    pairs.insert(pairs.end(), {repeats[i], x.dims()[i]});
    strides.insert(strides.end(), {0, own[i]});
    out.push_back(count_of({repeats[i], x.dims()[i]}, f.node.where()));
  }
  f.outputs[0] = gather_strided(f, x, pairs, strides).reshaped(out);
}

void infer_depth_to_space(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  const int64_t block = in.node().integer("blocksize", 1);
  if (x == nullptr) return;
  if (x->size() != 4 || block < 1 || block > 1 << 15 || ((*x)[1].known() && (*x)[1].value % (block * block) != 0))
    in.fail("cannot rearrange " + shape_text(*x) + " by blocks of " + std::to_string(block));
  const int64_t groups = in.node().integer(kDepthGroups, 1);
  if (groups < 1 || ((*x)[1].known() && (*x)[1].value / (block * block) % groups != 0)) in.fail("cannot divide the channels of " + shape_text(*x) + " into " + std::to_string(groups) + " groups");
  auto times = [](const Dim& dim, int64_t by) { return dim.known() ? Dim{dim.value * by, ""} : Dim{}; };
  const Dim channels = (*x)[1].known() ? Dim{(*x)[1].value / (block * block), ""} : Dim{};
  in.set(0, in.type(0), {(*x)[0], channels, times((*x)[2], block), times((*x)[3], block)});
}
void forward_depth_to_space(Forward& f) {
  const Array& x = f.in(0);
  const int64_t b = f.node.integer("blocksize", 1);
  if (x.rank() != 4 || b < 1 || x.dim(1) % (b * b) != 0) throw Error(f.node.where(), "cannot rearrange " + dims_text(x.dims()) + " by blocks of " + std::to_string(b));
  const int64_t n = x.dim(0), c = x.dim(1) / (b * b), h = x.dim(2), w = x.dim(3), groups = depth_groups(f.node, c), run = groups > 0 ? c / groups : 0;
  if (groups < 1 || groups * run != c) throw Error(f.node.where(), "cannot divide " + std::to_string(c) + " channels into " + std::to_string(groups) + " groups");
  // Axes of the result: n, group, channel in it, h, row in block, w, column in block.
  f.outputs[0] = gather_strided(f, x, {n, groups, run, h, b, w, b}, {c * b * b * h * w, b * b * run * h * w, h * w, w, b * run * h * w, 1, run * h * w}).reshaped({n, c, h * b, w * b});
}

void infer_space_to_depth(Inference& in) {
  in.set_type(0, in.type(0));
  const Shape* x = in.shape(0);
  const int64_t block = in.node().integer("blocksize", 1);
  if (x == nullptr) return;
  bool fits = x->size() == 4 && block >= 1 && block <= 1 << 15;
  for (size_t i = 2; fits && i < 4; ++i) fits = !(*x)[i].known() || (*x)[i].value % block == 0;
  if (!fits) in.fail("cannot rearrange " + shape_text(*x) + " by blocks of " + std::to_string(block));
  Shape out = *x;
  for (size_t i = 1; i < 4; ++i) out[i] = !out[i].known() ? Dim{} : Dim{i == 1 ? out[i].value * block * block : out[i].value / block, ""};
  in.set(0, in.type(0), out);
}
void forward_space_to_depth(Forward& f) {
  const Array& x = f.in(0);
  const int64_t b = f.node.integer("blocksize", 1);
  if (x.rank() != 4 || b < 1 || b > 1 << 15 || x.dim(2) % b != 0 || x.dim(3) % b != 0)
    throw Error(f.node.where(), "cannot rearrange " + dims_text(x.dims()) + " by blocks of " + std::to_string(b));
  const int64_t n = x.dim(0), c = x.dim(1), h = x.dim(2) / b, w = x.dim(3) / b, plane = x.dim(2) * x.dim(3), row = x.dim(3);
  const bool depth_first = f.node.text("mode", "DCR") == "DCR";
  // Channels of the result: row in block, column in block, channel; CRD: channel, row, column.
  const Dims out = depth_first ? Dims{n, b, b, c, h, w} : Dims{n, c, b, b, h, w};
  const Dims strides = depth_first ? Dims{c * plane, row, 1, plane, b * row, b} : Dims{c * plane, plane, row, 1, b * row, b};
  f.outputs[0] = gather_strided(f, x, out, strides).reshaped({n, c * b * b, h, w});
}

// The first `lengths` entries of each sequence the other way around.
void forward_reverse_sequence(Forward& f) {
  const Array& x = f.in(0);
  const auto batch_axis = size_t(normal_axis(f.node.integer("batch_axis", 1), x.rank(), f.node.where()));
  const auto time_axis = size_t(normal_axis(f.node.integer("time_axis", 0), x.rank(), f.node.where()));
  const std::vector<int64_t> lengths = f.in(1).to_integers();
  if (batch_axis == time_axis) throw Error(f.node.where(), "batch_axis and time_axis are the same");
  check_count(f.node, int64_t(lengths.size()), x.dims()[batch_axis], "lengths");
  for (int64_t length : lengths)
    if (length < 0 || length > x.dims()[time_axis]) throw Error(f.node.where(), "reverses " + std::to_string(length) + " of " + std::to_string(x.dims()[time_axis]) + " entries");
  const Dims strides = strides_of(x.dims());
  const size_t size = element_size(f.node, x);
  Array y = x;
  std::byte* to = y.mutable_bytes();
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t length = lengths[size_t(i / strides[batch_axis] % x.dims()[batch_axis])], at = i / strides[time_axis] % x.dims()[time_axis];
    const int64_t from = at < length ? i + (length - 1 - 2 * at) * strides[time_axis] : i;
    std::memcpy(to + size_t(i) * size, x.bytes() + size_t(from) * size, size);
  }
  f.outputs[0] = y;
}

}  // namespace

int64_t depth_groups(const Node& node, int64_t channels) {
  return node.is("DepthToSpace") && node.has(kDepthGroups) ? node.integer(kDepthGroups, 1) : node.text("mode", "DCR") == "DCR" ? 1 : channels;
}

const Op op_transpose{"Transpose", "", 1, 1, 1, 1, infer_transpose, forward_transpose, nullptr, "axes in another order", -1, links_transpose};
const Op op_concat{"Concat", "", 1, -1, 1, 1, infer_concat, forward_concat, nullptr, "tensors one after the other along an axis", -1, links_concat};
const Op op_split{"Split", "", 1, 2, 1, -1, infer_split, forward_split, nullptr, "parts along an axis", -1, links_split, narrow_split};
const Op op_slice{"Slice", "", 3, 5, 1, 1, infer_slice, forward_slice, nullptr, "a box with steps", -1, links_slice, narrow_slice};
const Op op_pad{"Pad", "", 1, 4, 1, 1, infer_pad, forward_pad, nullptr, "a border around a tensor", -1, links_pad, narrow_pad};
const Op op_expand{"Expand", "", 2, 2, 1, 1, infer_expand, forward_expand, nullptr, "broadcast to a shape", -1, links_expand, narrow_expand};
const Op op_tile{"Tile", "", 2, 2, 1, 1, infer_tile, forward_tile, nullptr, "repetition along axes", -1, links_tile};
const Op op_depth_to_space{"DepthToSpace", "", 1, 1, 1, 1, infer_depth_to_space, forward_depth_to_space, nullptr, "channels into pixels", -1, links_depth_to_space};
const Op op_space_to_depth{"SpaceToDepth", "", 1, 1, 1, 1, infer_space_to_depth, forward_space_to_depth, nullptr, "pixels into channels", -1, links_space_to_depth};
const Op op_reverse_sequence{"ReverseSequence", "", 2, 2, 1, 1, infer_same, forward_reverse_sequence, nullptr, "the beginnings of sequences the other way around"};

}  // namespace pare
