// The second moments of what a layer reads, which say how its weights stand in for each other.
#include "passes/statistics/column_products.h"

#include <algorithm>

#include "base/random.h"
#include "graph/ops/ops.h"
#include "kernels/float_products/float_products.h"

namespace pare {
namespace {

struct Spatial {
  Dims in;         // spatial extents
  Window window;
};

Spatial spatial_of(const ColumnView& view, const Array& values) {
  if (values.rank() != int(view.kernel.size()) + 2 || values.dim(1) != view.groups * (view.columns / std::max<int64_t>(count_of(view.kernel), 1)))
    throw Error(view.node.where(), "reads a value of extents " + dims_text(values.dims()) + ", which its weight does not fit");
  const Dims in(values.dims().begin() + 2, values.dims().end());
  return {in, window_of(view.node, in, view.kernel)};
}

// The index of the pixel that tap `tap` reads at output position `position` of an image, -1 in the padding.
int64_t pixel_of(const Spatial& s, int64_t position, int64_t tap) {
  int64_t pixel = 0, scale = 1;
  for (size_t axis = s.in.size(); axis-- > 0;) {
    const int64_t out = position % s.window.out[axis], k = tap % s.window.kernel[axis];
    position /= s.window.out[axis];
    tap /= s.window.kernel[axis];
    const int64_t at = out * s.window.stride[axis] + k * s.window.dilation[axis] - s.window.pad_begin[axis];
    if (at < 0 || at >= s.in[axis]) return -1;
    pixel += at * scale;
    scale *= s.in[axis];
  }
  return pixel;
}

}  // namespace

ColumnView column_view(const Node& node, const Dims& weight, bool left) {
  ColumnView view{node, {}, true, 1, 0};
  if (node.is("Conv")) {
    view.kernel.assign(weight.begin() + 2, weight.end());
    view.groups = std::max<int64_t>(node.integer("group", 1), 1);
    view.columns = weight[1] * count_of(view.kernel);
  } else if (node.is("Gemm")) {
    view.columns_last = node.integer("transA", 0) == 0;
    view.columns = weight[node.integer("transB", 0) != 0 ? 1 : 0];
  } else {
    view.columns_last = !left;
    view.columns = weight[left ? 1 : 0];
  }
  return view;
}

int64_t ColumnProducts::position_count(const Array& values) const {
  if (!view_.kernel.empty()) return values.dim(0) * count_of(spatial_of(view_, values).window.out);
  const int axis = view_.columns_last ? values.rank() - 1 : values.rank() - 2;
  if (axis < 0 || values.dim(axis) != view_.columns)
    throw Error(view_.node.where(), "reads a value of extents " + dims_text(values.dims()) + ", which its weight does not fit");
  return values.count() / view_.columns;
}

// [positions][columns + 1] of one group, behind what `panel` holds.
void ColumnProducts::append_panel(const Array& values, const std::vector<int64_t>& positions, int64_t group, std::vector<float>& panel) const {
  const int64_t n = columns();
  const size_t before = panel.size();
  panel.resize(before + positions.size() * size_t(n), 0.f);
  float* rows = panel.data() + before;
  const auto x = values.values<float>();
  if (view_.kernel.empty()) {
    const int64_t inner = view_.columns_last ? 1 : values.dim(values.rank() - 1);
    for (size_t p = 0; p < positions.size(); ++p) {
      const int64_t first = positions[p] / inner * view_.columns * inner + positions[p] % inner;
      for (int64_t c = 0; c < view_.columns; ++c) rows[p * size_t(n) + size_t(c)] = x[size_t(first + c * inner)];
    }
  } else {
    const Spatial s = spatial_of(view_, values);
    const int64_t taps = count_of(view_.kernel), channels = view_.columns / taps, image = count_of(s.in), out = count_of(s.window.out);
    for (size_t p = 0; p < positions.size(); ++p)
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t pixel = pixel_of(s, positions[p] % out, tap);
        if (pixel < 0) continue;
        const float* from = x.data() + (positions[p] / out * values.dim(1) + group * channels) * image + pixel;
        float* to = rows + p * size_t(n) + tap * channels;
        for (int64_t c = 0; c < channels; ++c) to[c] = from[c * image];
      }
  }
  for (size_t p = 0; p < positions.size(); ++p) rows[(p + 1) * size_t(n) - 1] = 1;
}

void ColumnProducts::see(const Array& array, const Array* original) {
  const Array values = array.cast(Type::f32), other = original != nullptr ? original->cast(Type::f32) : Array();
  const int64_t all = position_count(values), count = std::min(all, sampler_.most), n = columns();
  std::vector<int64_t> positions;
  Random random(sampler_.seed * 0x9e3779b9u + uint64_t(samples_++));
  for (int64_t i = 0; i < count; ++i) positions.push_back(count == all ? i : int64_t((double(i) + random.uniform()) * double(all) / double(count)));
  positions_ += count;
  squares_.resize(size_t(view_.groups), std::vector<double>(squares_only_ ? size_t(n) : 0, 0.0));
  products_.resize(size_t(view_.groups), std::vector<float>(squares_only_ ? 0 : size_t(n * n), 0.f));
  if (original != nullptr) cross_.resize(size_t(view_.groups), std::vector<float>(size_t(n * n), 0.f));
  if (original != nullptr && position_count(other) != all) throw Error(view_.node.where(), "reads a value whose extents pruning changed");
  pending_.resize(size_t(view_.groups));
  pending_other_.resize(size_t(view_.groups));
  for (int64_t g = 0; g < view_.groups; ++g) {
    append_panel(values, positions, g, pending_[size_t(g)]);
    if (original != nullptr) append_panel(other, positions, g, pending_other_[size_t(g)]);
  }
  // Enough positions at once that waking the threads is worth it, in bounded memory.
  constexpr int64_t most_positions = 4096, most_bytes = int64_t(32) << 20;
  const auto waiting = int64_t(pending_[0].size()) / n;
  if (waiting >= most_positions || int64_t(pending_[0].size() * sizeof(float)) * view_.groups >= most_bytes) flush();
}

void ColumnProducts::flush() {
  const int64_t n = columns();
  for (size_t g = 0; g < pending_.size(); ++g) {
    const std::vector<float> &x = pending_[g], &y = pending_other_[g];
    const auto count = int64_t(x.size()) / n;
    if (squares_only_) {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < n; ++c) squares_[g][size_t(c)] += double(x[size_t(i * n + c)]) * x[size_t(i * n + c)];
    } else {
      add_product(Product<float>{{x.data(), 1, n}, {x.data(), n, 1}, products_[g].data(), n, n, n, count, 1, true});
      if (!y.empty()) add_product(Product<float>{{y.data(), 1, n}, {x.data(), n, 1}, cross_[g].data(), n, n, n, count});
    }
    pending_[g].clear();
    pending_other_[g].clear();
  }
}

std::vector<double> ColumnProducts::squares(int64_t group) const {
  const auto n = size_t(columns());
  if (size_t(group) >= squares_.size()) return std::vector<double>(n, 0.0);
  if (squares_only_) return squares_[size_t(group)];
  std::vector<double> diagonal(n);
  for (size_t i = 0; i < n; ++i) diagonal[i] = products_[size_t(group)][i * n + i];
  return diagonal;
}

std::vector<double> ColumnProducts::products(int64_t group) const {
  const auto n = size_t(columns());
  std::vector<double> whole(n * n, 0.0);
  if (size_t(group) >= products_.size()) return whole;
  const std::vector<float>& upper = products_[size_t(group)];
  for (size_t i = 0; i < n; ++i)
    for (size_t j = i; j < n; ++j) whole[i * n + j] = whole[j * n + i] = upper[i * n + j];
  return whole;
}

std::vector<float> ColumnProducts::cross_products(int64_t group) const { return size_t(group) < cross_.size() ? cross_[size_t(group)] : std::vector<float>(); }

int64_t ColumnProducts::bytes(const ColumnView& view, bool squares_only, bool cross) {
  const int64_t n = view.columns + 1;
  return view.groups * (squares_only ? n * int64_t(sizeof(double)) : n * n * int64_t(sizeof(float)) * (cross ? 2 : 1));
}

}  // namespace pare
