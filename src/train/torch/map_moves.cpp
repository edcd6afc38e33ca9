// Operators that move elements, and resizing, which weighs a few of them.
#include "graph/op.h"
#include "graph/ops/ops.h"
#include "train/torch/arrays.h"
#include "train/torch/mapping.h"

namespace pare {
namespace {

std::vector<int64_t> positive(std::vector<int64_t> axes, int64_t rank) {
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  return axes;
}

// Negative indices count from the end.
at::Tensor indices_of(const at::Tensor& given, int64_t extent) {
  const at::Tensor whole = given.to(at::kLong);
  return at::where(whole < 0, whole + extent, whole);
}

}  // namespace

void map_Shape(Mapped& m) {
  const int64_t rank = m.in[0].dim();
  const auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t first = clamp(m.node.integer("start", 0)), last = std::max(first, clamp(m.node.integer("end", rank)));
  const std::vector<int64_t> dims(m.in[0].sizes().begin() + first, m.in[0].sizes().begin() + last);
  m.out = {at::empty({int64_t(dims.size())}, at::kLong)};
  std::copy(dims.begin(), dims.end(), m.out[0].data_ptr<int64_t>());
}

void map_Reshape(Mapped& m) {
  std::vector<int64_t> dims = m.integers(1);
  if (m.node.integer("allowzero", 0) == 0)
    for (size_t i = 0; i < dims.size(); ++i)
      if (dims[i] == 0 && int64_t(i) < m.in[0].dim()) dims[i] = m.in[0].size(int64_t(i));
  m.out = {m.in[0].reshape(dims)};
}

void map_Flatten(Mapped& m) {
  const int64_t axis = m.axis(1, m.in[0].dim());
  int64_t rows = 1;
  for (int64_t i = 0; i < axis; ++i) rows *= m.in[0].size(i);
  m.out = {m.in[0].reshape({rows, m.in[0].numel() / std::max<int64_t>(rows, 1)})};
}

void map_Squeeze(Mapped& m) {
  const std::vector<int64_t> axes = positive(m.integers(1, "axes"), m.in[0].dim());
  std::vector<int64_t> dims;
  for (int64_t i = 0; i < m.in[0].dim(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (axes.empty() ? m.in[0].size(i) != 1 : !named) dims.push_back(m.in[0].size(i));
  }
  m.out = {m.in[0].reshape(dims)};
}

void map_Unsqueeze(Mapped& m) {
  const std::vector<int64_t> given = m.integers(1, "axes");
  std::vector<int64_t> axes = positive(given, m.in[0].dim() + int64_t(given.size()));
  std::sort(axes.begin(), axes.end());
  m.out = {m.in[0]};
  for (int64_t axis : axes) m.out[0] = m.out[0].unsqueeze(axis);
}

// ONNX broadcasts both ways: a 1 in the wanted shape keeps the input's extent.
void map_Expand(Mapped& m) {
  std::vector<int64_t> dims = m.integers(1);
  while (int64_t(dims.size()) < m.in[0].dim()) dims.insert(dims.begin(), 1);
  const int64_t lead = int64_t(dims.size()) - m.in[0].dim();
  for (size_t i = size_t(lead); i < dims.size(); ++i)
    if (dims[i] == 1) dims[i] = m.in[0].size(int64_t(i) - lead);
  m.out = {m.in[0].expand(dims)};
}

void map_Tile(Mapped& m) { m.out = {m.in[0].repeat(m.integers(1))}; }

void map_Transpose(Mapped& m) {
  std::vector<int64_t> order = m.node.integers("perm");
  if (order.empty())
    for (int64_t i = m.in[0].dim(); i-- > 0;) order.push_back(i);
  m.out = {m.in[0].permute(order)};
}

void map_Concat(Mapped& m) { m.out = {at::cat(m.in, m.axis(0, m.in[0].dim()))}; }

void map_Split(Mapped& m) {
  const int64_t axis = m.axis(0, m.in[0].dim()), extent = m.in[0].size(axis);
  std::vector<int64_t> sizes = m.integers(1, "split");
  const auto parts = m.node.integer("num_outputs", int64_t(m.node.outputs.size())), each = (extent + parts - 1) / std::max<int64_t>(parts, 1);
  for (int64_t i = 0; sizes.empty() || (i > 0 && i < parts); ++i) sizes.push_back(std::min(each, extent - i * each));
  m.out = at::split_with_sizes(m.in[0], sizes, axis);
}

void map_Slice(Mapped& m) {
  const std::vector<int64_t> starts = m.integers(1), ends = m.integers(2);
  std::vector<int64_t> axes = m.has(3) ? m.integers(3) : std::vector<int64_t>(), steps = m.has(4) ? m.integers(4) : std::vector<int64_t>(starts.size(), 1);
  if (axes.empty())
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(int64_t(i));
  at::Tensor y = m.in[0];
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + y.dim() : axes[i], extent = y.size(axis), step = steps[i];
    const auto from_end = [&](int64_t at) { return at < 0 ? at + extent : at; };
    if (step > 0) {
      const int64_t first = std::clamp<int64_t>(from_end(starts[i]), 0, extent), last = std::clamp<int64_t>(from_end(ends[i]), first, extent);
      y = at::slice(y, axis, first, last, step);
    } else {  // backwards: counted up from its last element, then turned round
      const int64_t first = std::clamp<int64_t>(from_end(starts[i]), -1, extent - 1), last = std::clamp<int64_t>(from_end(ends[i]), -1, first);
      const int64_t count = (first - last - step - 1) / -step;
      y = count > 0 ? at::slice(y, axis, first + (count - 1) * step, first + 1, -step).flip({axis}) : at::slice(y, axis, 0, 0);
    }
  }
  m.out = {y};
}

void map_Pad(Mapped& m) {
  const std::vector<int64_t> pads = m.integers(1, "pads"), named = m.has(3) ? positive(m.integers(3), m.in[0].dim()) : std::vector<int64_t>();
  const auto rank = size_t(m.in[0].dim());
  std::vector<int64_t> begin(rank, 0), end(rank, 0), around;
  const size_t axes = pads.size() / 2;
  for (size_t i = 0; i < axes; ++i) {
    const size_t axis = named.empty() ? i : size_t(named[i]);
    begin[axis] = pads[i];
    end[axis] = pads[i + axes];
  }
  const std::string mode = m.node.text("mode", "constant");
  if (mode == "constant") {
    for (size_t i = rank; i-- > 0;) around.insert(around.end(), {begin[i], end[i]});
    m.out = {at::constant_pad_nd(m.in[0], around, m.has(2) ? m.in[2].item() : at::Scalar(0))};
    return;
  }
  if (mode != "edge" && mode != "reflect" && mode != "wrap") m.fail("mode " + mode);
  at::Tensor y = m.in[0];
  for (size_t axis = 0; axis < rank; ++axis) {
    if (begin[axis] == 0 && end[axis] == 0) continue;
    const int64_t extent = y.size(int64_t(axis));
    at::Tensor places = at::arange(-begin[axis], extent + end[axis], at::kLong);
    if (mode == "edge") places = places.clamp(0, extent - 1);
    if (mode == "wrap") places = at::remainder(places, extent);
    if (mode == "reflect") {
      const int64_t period = std::max<int64_t>(2 * (extent - 1), 1);
      const at::Tensor folded = at::remainder(places, period);
      places = at::minimum(folded, period - folded);
    }
    y = y.index_select(int64_t(axis), places);
  }
  m.out = {y};
}

void map_Gather(Mapped& m) {
  const int64_t axis = m.axis(0, m.in[0].dim());
  const at::Tensor places = indices_of(m.in[1], m.in[0].size(axis));
  std::vector<int64_t> dims(m.in[0].sizes().begin(), m.in[0].sizes().begin() + axis);
  dims.insert(dims.end(), places.sizes().begin(), places.sizes().end());
  dims.insert(dims.end(), m.in[0].sizes().begin() + axis + 1, m.in[0].sizes().end());
  m.out = {m.in[0].index_select(axis, places.reshape({-1})).reshape(dims)};
}

void map_GatherElements(Mapped& m) {
  const int64_t axis = m.axis(0, m.in[0].dim());
  m.out = {at::gather(m.in[0], axis, indices_of(m.in[1], m.in[0].size(axis)))};
}

void map_DepthToSpace(Mapped& m) {
  const int64_t b = m.node.integer("blocksize", 1), n = m.in[0].size(0), c = m.in[0].size(1), h = m.in[0].size(2), w = m.in[0].size(3);
  const int64_t channels = c / (b * b), groups = depth_groups(m.node, channels);
  const at::Tensor y = m.in[0].reshape({n, groups, b, b, channels / groups, h, w}).permute({0, 1, 4, 5, 2, 6, 3});
  m.out = {y.reshape({n, channels, h * b, w * b})};
}

void map_SpaceToDepth(Mapped& m) {
  const int64_t b = m.node.integer("blocksize", 1), n = m.in[0].size(0), c = m.in[0].size(1), h = m.in[0].size(2) / b, w = m.in[0].size(3) / b;
  if (m.node.text("mode", "DCR") != "DCR") m.fail("mode " + m.node.text("mode"));
  m.out = {m.in[0].reshape({n, c, h, b, w, b}).permute({0, 3, 5, 1, 2, 4}).reshape({n, c * b * b, h, w})};
}

namespace {

// What resizing does along one axis, as a matrix [in, out]: the reference forward of the unit vectors. One place that
// knows the modes is enough.
at::Tensor resize_matrix(const Mapped& m, int64_t in, std::optional<float> scale, int64_t out) {
  Array units(Type::f32, {in, in});
  for (int64_t i = 0; i < in; ++i) units.mutable_values<float>()[size_t(i * in + i)] = 1;
  Node node = m.node;
  node.attributes.erase("axes");
  Forward forward{node, m.graph.opset(), {units, Array()}, {Array()}};
  if (scale) forward.inputs.push_back(Array::of<float>({2}, {1, *scale}));
  else forward.inputs.insert(forward.inputs.end(), {Array(), Array::of<int64_t>({2}, {in, out})});
  node.op->forward(forward);
  return tensor_of(forward.outputs[0], m.real);
}

// y[…, o, …] = Σ_i x[…, i, …] · matrix[i, o], by the few i that have a weight.
at::Tensor along(const at::Tensor& x, int64_t axis, const at::Tensor& matrix) {
  const int64_t taps = (matrix != 0).sum(0).max().item<int64_t>();
  const auto [weights, places] = at::topk(matrix.abs(), std::max<int64_t>(taps, 1), 0);
  const at::Tensor values = matrix.gather(0, places);
  std::vector<int64_t> dims(size_t(x.dim()), 1);
  dims[size_t(axis)] = -1;
  at::Tensor y;
  for (int64_t t = 0; t < places.size(0); ++t) {
    const at::Tensor term = x.index_select(axis, places[t]);
    const at::Tensor weighted = taps == 1 ? term : term * values[t].reshape(dims);
    y = y.defined() ? y + weighted : weighted;
  }
  return y;
}

}  // namespace

void map_Resize(Mapped& m) {
  const bool by_scales = m.has(2) && m.in[2].numel() > 0;
  if (m.node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" || m.node.text("keep_aspect_ratio_policy", "stretch") != "stretch") m.fail("crops, or keeps its aspect ratio");
  std::vector<int64_t> axes = m.node.integers("axes");
  if (axes.empty())
    for (int64_t i = 0; i < m.in[0].dim(); ++i) axes.push_back(i);
  axes = positive(axes, m.in[0].dim());
  const std::vector<int64_t> sizes = by_scales ? std::vector<int64_t>() : m.integers(3);
  at::Tensor y = m.in[0];
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t in = y.size(axes[i]);
    const std::optional<float> scale = by_scales ? std::optional(m.in[2][int64_t(i)].item<float>()) : std::nullopt;
    if (by_scales ? *scale == 1 : sizes[i] == in) continue;
    y = along(y, axes[i], resize_matrix(m, in, scale, by_scales ? 0 : sizes[i]));
  }
  m.out = {y};
}

}  // namespace pare
