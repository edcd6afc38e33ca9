// Layers as least squares: min ‖(W − Ŵ)X‖² with H = X·Xᵀ. No graph; pruning and quantization differ by their rule alone.
#include "passes/solvers/column_solver.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/threads.h"
#include "kernels/float_products/float_products.h"

namespace pare {
namespace {

// Over the rows, on all threads where each has enough to do to be worth waking.
void for_rows(int64_t rows, int64_t work_a_row, const std::function<void(int64_t, int64_t)>& body) {
  if (rows * work_a_row < 2'000'000) body(0, rows);
  else parallel_for(rows, body);
}

// Columns [first, end) of one row; what each lost, in units of its U[j][j], goes to `errors`.
void compress_row(const WeightRows& w, int64_t row, int64_t first, int64_t end, const InverseFactor& factor, const ColumnRule& rule, float* errors) {
  for (int64_t j = first; j < end; ++j) {
    const float before = w.at(row, j), after = rule.compress(row, j, before);
    w.at(row, j) = after;
    const float error = errors[j - first] = (before - after) / factor.at(j, j);
    if (error == 0) continue;
    const float* influence = factor.upper.data() + j * factor.n;
    for (int64_t k = j + 1; k < end; ++k) w.at(row, k) -= error * influence[k];
  }
}

// y = x·H, rows x n.
std::vector<float> times(std::span<const float> x, int64_t rows, int64_t n, std::span<const float> h) {
  std::vector<float> y(size_t(rows * n), 0.f);
  add_product(Product<float>{{x.data(), n, 1}, {h.data(), n, 1}, y.data(), n, rows, n, n});
  return y;
}

double dot(const float* a, const float* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double(a[i]) * b[i];
  return sum;
}

}  // namespace

void compress_columns(const WeightRows& weights, const InverseFactor& factor, ColumnRule& rule) {
  const int64_t n = weights.n;
  for (int64_t first = 0; first < n;) {
    const int64_t end = rule.block_end(first, n), width = end - first;
    rule.begin_block(first, end, weights, factor);
    std::vector<float> errors(size_t(weights.rows * width));
    for_rows(weights.rows, width * width, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) compress_row(weights, r, first, end, factor, rule, errors.data() + r * width);
    });
    if (end < n) add_product(Product<float>{{errors.data(), width, 1}, {factor.upper.data() + first * n + end, n, 1}, weights.data + end, n, weights.rows, n - end, width, -1});
    first = end;
  }
}

void refit_rows(const WeightRows& w, std::span<const float> optimum, std::span<const float> h, std::span<const uint8_t> mask, int steps) {
  const int64_t n = w.n, rows = w.rows;
  const auto size = size_t(rows * n);
  std::vector<float> residual(size), direction(size, 0.f), scaled(size);
  std::vector<double> before(size_t(rows), 0.0);
  for (size_t i = 0; i < size; ++i) scaled[i] = optimum[i] - w.data[i];
  residual = times(scaled, rows, n, h);
  for (int step = 0; step < steps; ++step) {
    for_rows(rows, n, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        const int64_t at = r * n;
        for (int64_t j = 0; j < n; ++j) {
          if (mask[size_t(at + j)] == 0) residual[size_t(at + j)] = 0;
          scaled[size_t(at + j)] = residual[size_t(at + j)] / std::max(h[size_t(j * n + j)], 1e-30f);
        }
        const double now = dot(&residual[size_t(at)], &scaled[size_t(at)], n);
        const float keep = step > 0 && before[size_t(r)] > 0 ? float(now / before[size_t(r)]) : 0;
        for (int64_t j = at; j < at + n; ++j) direction[size_t(j)] = scaled[size_t(j)] + keep * direction[size_t(j)];
        before[size_t(r)] = now;
      }
    });
    const std::vector<float> image = times(direction, rows, n, h);
    for_rows(rows, n, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; ++r) {
        const int64_t at = r * n;
        const double bend = dot(&direction[size_t(at)], &image[size_t(at)], n);
        if (!(bend > 0)) continue;
        const auto length = float(before[size_t(r)] / bend);
        for (int64_t j = at; j < at + n; ++j) {
          w.data[j] += length * direction[size_t(j)];
          residual[size_t(j)] -= length * image[size_t(j)];
        }
      }
    });
  }
}

std::vector<float> adapted_rows(std::span<const float> weights, int64_t rows, int64_t n, std::span<const float> cross, const InverseFactor& factor, double added) {
  // W·(cross + λ) · H⁻¹ = ((W·cross + λ·W)·Uᵀ)·U
  std::vector<float> target(weights.begin(), weights.end());
  for (float& w : target) w *= float(added);
  add_product(Product<float>{{weights.data(), n, 1}, {cross.data(), n, 1}, target.data(), n, rows, n, n});
  std::vector<float> half(target.size(), 0.f), whole(target.size(), 0.f);
  add_product(Product<float>{{target.data(), n, 1}, {factor.upper.data(), 1, n}, half.data(), n, rows, n, n});
  add_product(Product<float>{{half.data(), n, 1}, {factor.upper.data(), n, 1}, whole.data(), n, rows, n, n});
  return whole;
}

double energy(std::span<const float> weights, int64_t rows, int64_t n, std::span<const float> h) {
  const std::vector<float> image = times(weights, rows, n, h);
  double sum = 0;
  for (int64_t r = 0; r < rows; ++r) sum += dot(weights.data() + r * n, image.data() + r * n, n);
  return sum;
}

}  // namespace pare
