// Pooling and reductions.
#include <limits>
#include <numeric>

#include "train/torch/mapping.h"

namespace pare {
namespace {

// libtorch pools 2 or 3 spatial axes; one axis is pooled as a picture of height 1.
struct Pooled {
  at::Tensor x;
  MappedWindow window;
  bool lifted = false;
};

Pooled pooled(const Mapped& m) {
  Pooled p{m.in[0], mapped_window(m, m.node.integers("kernel_shape"))};
  const size_t n = p.window.kernel.size();
  if (n == 1) {
    p.lifted = true;
    p.x = p.x.unsqueeze(2);
    for (auto* values : {&p.window.kernel, &p.window.stride, &p.window.dilation}) values->insert(values->begin(), 1);
    for (auto* values : {&p.window.begin, &p.window.end}) values->insert(values->begin(), 0);
  } else if (n != 2 && n != 3) {
    m.fail("pools " + std::to_string(n) + " axes");
  }
  return p;
}

at::Tensor mean_of(const at::Tensor& x, const MappedWindow& w, const std::vector<int64_t>& padding, bool count_pad) {
  return w.kernel.size() == 2 ? at::avg_pool2d(x, w.kernel, w.stride, padding, false, count_pad) : at::avg_pool3d(x, w.kernel, w.stride, padding, false, count_pad);
}

// Reduced axes; all where none are named. Nothing to do: an empty list with noop_with_empty_axes.
std::vector<int64_t> reduced_axes(const Mapped& m) {
  std::vector<int64_t> axes = m.integers(1, "axes");
  if (axes.empty() && m.node.integer("noop_with_empty_axes", 0) == 0) {
    axes.resize(size_t(m.in[0].dim()));
    std::iota(axes.begin(), axes.end(), int64_t(0));
  }
  return axes;
}
bool keeps(const Mapped& m) { return m.node.integer("keepdims", 1) != 0; }

// One axis after the other, the last first, so that the numbers of the others stay.
template <class Reduce>
void reduce_each(Mapped& m, Reduce reduce) {
  std::vector<int64_t> axes = reduced_axes(m);
  for (int64_t& axis : axes) axis = axis < 0 ? axis + m.in[0].dim() : axis;
  std::sort(axes.rbegin(), axes.rend());
  at::Tensor y = m.in[0];
  for (int64_t axis : axes) y = reduce(y, axis, keeps(m));
  m.out = {y};
}

template <class Reduce>
void reduce_all(Mapped& m, Reduce reduce) {
  const std::vector<int64_t> axes = reduced_axes(m);
  m.out = {axes.empty() ? m.in[0] : reduce(m.in[0], axes, keeps(m))};
}

}  // namespace

void map_MaxPool(Mapped& m) {
  if (m.node.outputs.size() > 1) m.fail("gives the places of its maxima");
  Pooled p = pooled(m);
  std::vector<int64_t> padding = p.window.begin;
  bool small = p.window.symmetric();
  for (size_t i = 0; i < padding.size(); ++i) small = small && padding[i] * 2 <= p.window.kernel[i];
  if (!small) {
    p.x = at::constant_pad_nd(p.x, p.window.around(), -std::numeric_limits<double>::infinity());
    padding.assign(padding.size(), 0);
  }
  const MappedWindow& w = p.window;
  at::Tensor y = w.kernel.size() == 2 ? at::max_pool2d(p.x, w.kernel, w.stride, padding, w.dilation) : at::max_pool3d(p.x, w.kernel, w.stride, padding, w.dilation);
  m.out = {p.lifted ? y.squeeze(2) : y};
}

void map_AveragePool(Mapped& m) {
  Pooled p = pooled(m);
  const MappedWindow& w = p.window;
  const bool count_pad = m.node.integer("count_include_pad", 0) != 0, ceil_mode = m.node.integer("ceil_mode", 0) != 0;
  if (std::any_of(w.dilation.begin(), w.dilation.end(), [](int64_t d) { return d != 1; }) || (ceil_mode && count_pad)) m.fail("dilated, or rounded up and counting its padding");
  bool small = w.symmetric();
  for (size_t i = 0; i < w.begin.size(); ++i) small = small && w.begin[i] * 2 <= w.kernel[i];
  at::Tensor y;
  const std::vector<int64_t> none(w.begin.size(), 0);
  if (small) {
    y = mean_of(p.x, w, w.begin, count_pad);
  } else {
    y = mean_of(at::constant_pad_nd(p.x, w.around(), 0), w, none, true);
    // The share of a window that is not padding.
    if (!count_pad) y = y / mean_of(at::constant_pad_nd(at::ones_like(p.x.narrow(0, 0, 1).narrow(1, 0, 1)), w.around(), 0), w, none, true);
  }
  m.out = {p.lifted ? y.squeeze(2) : y};
}

void map_GlobalAveragePool(Mapped& m) {
  std::vector<int64_t> axes(size_t(m.in[0].dim()) - 2);
  std::iota(axes.begin(), axes.end(), int64_t(2));
  m.out = {at::mean(m.in[0], axes, true)};
}
void map_GlobalMaxPool(Mapped& m) {
  std::vector<int64_t> axes(size_t(m.in[0].dim()) - 2);
  std::iota(axes.begin(), axes.end(), int64_t(2));
  m.out = {at::amax(m.in[0], axes, true)};
}

void map_ReduceMean(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::mean(x, axes, keep); }); }
void map_ReduceSum(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x, axes, keep); }); }
void map_ReduceMax(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::amax(x, axes, keep); }); }
void map_ReduceMin(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::amin(x, axes, keep); }); }
void map_ReduceProd(Mapped& m) { reduce_each(m, [](const at::Tensor& x, int64_t axis, bool keep) { return at::prod(x, axis, keep); }); }
void map_ReduceL1(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(at::abs(x), axes, keep); }); }
void map_ReduceL2(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::norm(x, 2, axes, keep); }); }
void map_ReduceSumSquare(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x * x, axes, keep); }); }
void map_ReduceLogSumExp(Mapped& m) { reduce_all(m, [](const at::Tensor& x, at::IntArrayRef axes, bool keep) { return at::logsumexp(x, axes, keep); }); }

}  // namespace pare
