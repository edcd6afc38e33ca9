#include "passes/statistics/layer_gram.h"

#include <algorithm>

#include "base/random.h"
#include "base/threads.h"
#include "graph/ops/ops.h"

namespace pare {
namespace {

constexpr int64_t kBatch = 1024;          // rows that are added up at once
constexpr int64_t kParallel = 20'000'000; // products that repay waiting for other threads

// sums += aᵀ·b over `count` rows; a is count x m, b is count x n.
void add_products(const std::vector<float>& a, const std::vector<float>& b, int64_t count, int64_t m, int64_t n, std::vector<double>& sums) {
  const auto columns = [&](int64_t first, int64_t last) {
    std::vector<float> line(static_cast<size_t>(n));
    for (int64_t i = first; i < last; ++i) {
      std::fill(line.begin(), line.end(), 0.f);
      int64_t p = 0;
      for (; p + 4 <= count; p += 4) {  // four rows at once: a sum is loaded and stored once for four products
        const float f0 = a[size_t(p * m + i)], f1 = a[size_t((p + 1) * m + i)], f2 = a[size_t((p + 2) * m + i)], f3 = a[size_t((p + 3) * m + i)];
        if (f0 == 0 && f1 == 0 && f2 == 0 && f3 == 0) continue;
        const float *r0 = b.data() + p * n, *r1 = r0 + n, *r2 = r1 + n, *r3 = r2 + n;
        for (int64_t j = 0; j < n; ++j) line[size_t(j)] += f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j];
      }
      for (; p < count; ++p)
        for (int64_t j = 0; j < n; ++j) line[size_t(j)] += a[size_t(p * m + i)] * b[size_t(p * n + j)];
      for (int64_t j = 0; j < n; ++j) sums[size_t(i * n + j)] += double(line[size_t(j)]);
    }
  };
  if (count * m * n > kParallel) parallel_for(m, columns);
  else columns(0, m);
}

}  // namespace

std::vector<int64_t> LayerGram::sampled(int64_t all, int64_t most) {
  Random random(seed_ * 0x9e3779b97f4a7c15u + uint64_t(samples_++));
  const int64_t count = std::min(all, most);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < count; ++i) positions.push_back(count == all ? i : std::min(all - 1, int64_t((double(i) + random.uniform()) * double(all) / double(count))));
  return positions;
}

std::vector<float> LayerGram::rows_of(const Array& x, const std::vector<int64_t>& positions) const {
  const int64_t width = n();
  std::vector<float> rows(positions.size() * size_t(width), 0.f);
  const auto values = x.values<float>();
  if (kernel_.empty()) {
    for (size_t p = 0; p < positions.size(); ++p) std::copy_n(values.data() + positions[p] * columns_, columns_, rows.data() + p * size_t(width));
  } else {
    const Dims in(x.dims().begin() + 2, x.dims().end());
    const Window window = window_of(node_, in, kernel_);
    const int64_t taps = count_of(kernel_), pixels = count_of(window.out), image = count_of(in), channels = columns_ / taps;
    for (size_t p = 0; p < positions.size(); ++p)
      for (int64_t tap = 0; tap < taps; ++tap) {
        int64_t place = positions[p] % pixels, k = tap, offset = 0, scale = 1;
        bool inside = true;
        for (size_t axis = in.size(); axis-- > 0;) {
          const int64_t at = place % window.out[axis] * window.stride[axis] + k % kernel_[axis] * window.dilation[axis] - window.pad_begin[axis];
          inside &= at >= 0 && at < in[axis];
          offset += at * scale;
          scale *= in[axis], place /= window.out[axis], k /= kernel_[axis];
        }
        const float* from = values.data() + positions[p] / pixels * channels * image + offset;
        for (int64_t c = 0; inside && c < channels; ++c) rows[p * size_t(width) + size_t(c * taps + tap)] = from[c * image];
      }
  }
  for (size_t p = 0; p < positions.size(); ++p) rows[(p + 1) * size_t(width) - 1] = 1;
  return rows;
}

void LayerGram::see(const Array& x, const Array* y, const Array* added, const std::vector<int64_t>& kept, int64_t most) {
  const Array values = x.cast(Type::f32);
  int64_t all = values.count() / std::max<int64_t>(columns_, 1), pixels = 1;
  const int64_t taps = kernel_.empty() ? 1 : count_of(kernel_);
  const bool fits = kernel_.empty() ? values.rank() > 0 && values.dim(-1) == columns_
                                    : values.rank() == int(kernel_.size()) + 2 && values.dim(1) * taps == columns_;
  if (!fits) throw Error(node_.where(), "reads a value of extents " + dims_text(values.dims()) + ", which its weight does not fit");
  if (!kernel_.empty()) {
    pixels = count_of(window_of(node_, {values.dims().begin() + 2, values.dims().end()}, kernel_).out);
    all = values.dim(0) * pixels;
  }
  const std::vector<int64_t> positions = sampled(all, most);
  const auto count = int64_t(positions.size());
  const std::vector<float> rows = rows_of(values, positions);
  rows_.insert(rows_.end(), rows.begin(), rows.end());
  positions_ += count;
  if (y != nullptr) {
    const Array wanted = y->cast(Type::f32);
    const auto to = wanted.values<float>();
    const int64_t channels = wanted.count() / std::max<int64_t>(all, 1);
    outputs_ = int64_t(kept.size());
    const Array other = added != nullptr ? added->cast(Type::f32) : Array();
    const auto place = [&](int64_t position, int64_t of, int64_t c) { return size_t((position / pixels * of + c) * pixels + position % pixels); };
    for (int64_t position : positions)
      for (int64_t k = 0; k < outputs_; ++k)
        targets_.push_back(to[place(position, channels, kept[size_t(k)])] - (added != nullptr ? other.values<float>()[place(position, outputs_, k)] : 0.f));
  }
  if (int64_t(rows_.size()) >= kBatch * n()) finish();
}

void LayerGram::finish() {
  const int64_t count = int64_t(rows_.size()) / n();
  xx_.resize(size_t(n() * n()), 0.0);
  add_products(rows_, rows_, count, n(), n(), xx_);
  if (outputs_ > 0) {
    yx_.resize(size_t(outputs_ * n()), 0.0);
    add_products(targets_, rows_, count, outputs_, n(), yx_);
  }
  rows_.clear();
  targets_.clear();
}

std::vector<double> LayerGram::covariance(bool centred) const {
  const int64_t w = n();
  std::vector<double> result(size_t(columns_ * columns_), 0.0);
  if (positions_ == 0) return result;
  const double count = double(positions_);
  const double* means = xx_.data() + columns_ * w;
  for (int64_t i = 0; i < columns_; ++i)
    for (int64_t j = 0; j < columns_; ++j)
      result[size_t(i * columns_ + j)] = xx_[size_t(i * w + j)] / count - (centred ? means[i] / count * means[j] / count : 0);
  return result;
}

}  // namespace pare
