// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/float_depthwise/float_depthwise.h"
#include "kernels/float_functions.h"
#include "kernels/float_taps.h"
#include "kernels/float_vectors.h"

namespace pare {
namespace {

constexpr int kMostPlaces = 6;  // of a row whose sums are kept at once
// Columns that all channels go through before the next ones, where channels lie side by side: what is read is read again by the next
// vector of channels, from the first cache.
constexpr int64_t kChunk = 2 * kMostPlaces;

inline Floats at(const float* from) { return *reinterpret_cast<const Floats*>(from); }

// Part of a row of the result.
struct DepthwiseRow {
  const float* x;        // the first pixel of the input row under the first tap, which may lie outside
  const float* weights;
  Floats bias;
  Taps down;             // that lie on the picture
  int64_t y;             // of the row, from job.y
  int64_t first, last;   // columns
};

// `Places` neighbours from `column` on, each input read once for all windows it lies in.
template <int Width, int Stride, int Places, class Finish>
inline void add_window(const FloatDepthwise& job, const DepthwiseRow& row, int64_t column, const Finish& finish) {
  const int64_t x_pixel = job.x_pixel, x_row = job.x_row, y_pixel = job.y_pixel;
  Floats sums[Places];
#pragma GCC unroll 6
  for (int p = 0; p < Places; ++p) sums[p] = row.bias;
  const float* x = row.x + row.down.first * x_row + (column * Stride - job.pad[1]) * x_pixel;
  const float* weights = row.weights + row.down.first * Width * kVector;
#pragma GCC unroll 1
  for (int64_t ky = row.down.first; ky < row.down.last; ++ky, x += x_row, weights += Width * kVector) {
    Floats w[Width];
#pragma GCC unroll 5
    for (int k = 0; k < Width; ++k) w[k] = at(weights + k * kVector);
#pragma GCC unroll 16
    for (int i = 0; i < (Places - 1) * Stride + Width; ++i) {
      const Floats value = at(x + i * x_pixel);
#pragma GCC unroll 6
      for (int p = 0; p < Places; ++p)
        if (i - p * Stride >= 0 && i - p * Stride < Width) sums[p] += w[i - p * Stride] * value;
    }
  }
  int64_t place = row.y + column * y_pixel;
#pragma GCC unroll 6
  for (int p = 0; p < Places; ++p, place += y_pixel) finish(sums[p], place);
}

// Any window: `along` are its taps on the picture.
template <class Finish>
inline void add_place(const FloatDepthwise& job, const DepthwiseRow& row, int64_t column, Taps along, const Finish& finish) {
  const int64_t x0 = column * job.stride[1] - job.pad[1];
  Floats sum = row.bias;
  for (int64_t ky = row.down.first; ky < row.down.last; ++ky)
    for (int64_t kx = along.first; kx < along.last; ++kx)
      sum += at(row.weights + (ky * job.kernel[1] + kx) * kVector) * at(row.x + ky * job.dilation[0] * job.x_row + (x0 + kx * job.dilation[1]) * job.x_pixel);
  finish(sum, row.y + column * job.y_pixel);
}

// Near taps: columns whose windows lie on the picture by several at once.
template <int Width, int Stride, class Finish>
inline void add_row(const FloatDepthwise& job, const DepthwiseRow& row, const Finish& finish) {
  const int64_t room = job.width + job.pad[1] - Width;
  const int64_t begin = (job.pad[1] + Stride - 1) / Stride, end = room < 0 ? 0 : std::min(row.last, room / Stride + 1);
  const auto edge = [&](int64_t column) {
    const int64_t x0 = column * Stride - job.pad[1], first = std::max<int64_t>(0, -x0);
    add_place(job, row, column, {first, std::max(first, std::min<int64_t>(Width, job.width - x0))}, finish);
  };
  int64_t column = row.first;
  for (; column < std::min(begin, row.last); ++column) edge(column);
  for (; column + kMostPlaces <= end; column += kMostPlaces) add_window<Width, Stride, kMostPlaces>(job, row, column, finish);
  for (; column + 2 <= end; column += 2) add_window<Width, Stride, 2>(job, row, column, finish);
  for (; column < end; ++column) add_window<Width, Stride, 1>(job, row, column, finish);
  for (; column < row.last; ++column) edge(column);
}

template <class Finish>
void add_any_row(const FloatDepthwise& job, const DepthwiseRow& row, const Finish& finish) {
  const bool near = job.dilation[0] == 1 && job.dilation[1] == 1;
  if (near && job.kernel[1] == 3 && job.stride[1] == 1) return add_row<3, 1>(job, row, finish);
  if (near && job.kernel[1] == 3 && job.stride[1] == 2) return add_row<3, 2>(job, row, finish);
  if (near && job.kernel[1] == 5 && job.stride[1] == 1) return add_row<5, 1>(job, row, finish);
  if (near && job.kernel[1] == 5 && job.stride[1] == 2) return add_row<5, 2>(job, row, finish);
  for (int64_t column = row.first; column < row.last; ++column)
    add_place(job, row, column, taps_of(column * job.stride[1] - job.pad[1], job.dilation[1], job.kernel[1], job.width), finish);
}

// One vector of channels. Functions are copied: stores of floats might change the job, as far as the compiler knows.
inline void run_block(const FloatDepthwise& job, const DepthwiseRow& row, int64_t lanes) {
  float* y = job.y;
  const float* residual = job.residual;
  const FloatFunction first = job.first, last = job.last;
  const auto store = [y](Floats v, int64_t place) { *reinterpret_cast<Floats*>(y + place) = v; };
  const bool plain = lanes >= kVector && first.none() && residual == nullptr;
  if (plain && last.kind == FloatFunction::limits)
    return add_any_row(job, row, [=](Floats v, int64_t place) { store(applied<FloatFunction::limits, false>(last, v), place); });
  if (plain && last.kind == FloatFunction::swish)
    return add_any_row(job, row, [=](Floats v, int64_t place) { store(applied<FloatFunction::swish, false>(last, v), place); });
  Ints keep{};
  for (int64_t l = 0; l < std::min<int64_t>(kVector, lanes); ++l) keep[l] = -1;
  add_any_row(job, row, [=](Floats v, int64_t place) {
    v = applied<false>(first, v);
    if (residual != nullptr) v += at(residual + place);
    store((Floats)((Ints)applied<false>(last, v) & keep), place);
  });
}

inline void run_depthwise(const FloatDepthwise& job, int64_t r) {
  const int64_t top = r * job.stride[0] - job.pad[0], taps = job.kernel[0] * job.kernel[1];
  const int64_t chunk = job.x_pixel > kVector ? kChunk : job.out_width;
  DepthwiseRow row;
  row.down = taps_of(top, job.dilation[0], job.kernel[0], job.height);
  for (row.first = 0; row.first < job.out_width; row.first = row.last) {
    row.last = std::min(job.out_width, row.first + chunk);
    for (int64_t block = 0; block * kVector < job.channels; ++block) {
      row.x = job.x + block * job.x_block + top * job.x_row;
      row.weights = job.weights + block * taps * kVector;
      row.bias = at(job.bias + block * kVector);
      row.y = block * job.y_block + r * job.y_row;
      run_block(job, row, job.channels - block * kVector);
    }
  }
}

}  // namespace
}  // namespace pare
