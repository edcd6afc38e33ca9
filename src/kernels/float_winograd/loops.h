// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/float_functions.h"
#include "kernels/float_vectors.h"
#include "kernels/float_winograd/float_winograd.h"

namespace pare {
namespace {

// The transforms along one axis (Lavin & Gray 2016, section 4).
template <int Tile>
struct Axis;

template <>
struct Axis<2> {
  static void spread(const Floats (&d)[4], Floats (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
  }
  static void gather(const Floats (&m)[4], Floats (&y)[2]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
};

template <>
struct Axis<4> {
  static void spread(const Floats (&d)[6], Floats (&v)[6]) {
    const Floats even = d[4] - 4.f * d[2], odd = d[3] - 4.f * d[1], even2 = d[4] - d[2], odd2 = 2.f * (d[3] - d[1]);
    v[0] = 4.f * d[0] - 5.f * d[2] + d[4];
    v[1] = even + odd;
    v[2] = even - odd;
    v[3] = even2 + odd2;
    v[4] = even2 - odd2;
    v[5] = 4.f * d[1] - 5.f * d[3] + d[5];
  }
  static void gather(const Floats (&m)[6], Floats (&y)[4]) {
    const Floats sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    y[0] = m[0] + sum + sum2;
    y[1] = difference + 2.f * difference2;
    y[2] = sum + 4.f * sum2;
    y[3] = difference + 8.f * difference2 + m[5];
  }
};

// Where a square of the result begins.
struct Square {
  int64_t row, column;
};
template <int Tile>
inline Square square_at(const Winograd& job, int64_t t) {
  const int64_t across = (job.out_width + Tile - 1) / Tile;
  return {t / across * Tile, t % across * Tile};
}

// The pixels under a square; those outside the picture are zeros.
template <int Side>
inline void load_square(const Winograd& job, const float* plane, int64_t row, int64_t column, Floats (&d)[Side][Side]) {
  const float* from = plane + row * job.x_row + column * job.x_pixel;
  if (row >= 0 && column >= 0 && row + Side <= job.height && column + Side <= job.width) {
#pragma GCC unroll 6
    for (int r = 0; r < Side; ++r)
#pragma GCC unroll 6
      for (int c = 0; c < Side; ++c) d[r][c] = *reinterpret_cast<const Floats*>(from + r * job.x_row + c * job.x_pixel);
    return;
  }
  for (int r = 0; r < Side; ++r)
    for (int c = 0; c < Side; ++c) {
      const bool inside = row + r >= 0 && row + r < job.height && column + c >= 0 && column + c < job.width;
      d[r][c] = inside ? *reinterpret_cast<const Floats*>(from + r * job.x_row + c * job.x_pixel) : Floats{};
    }
}

template <int Tile>
void spread_squares(const Winograd& job, int64_t first, int64_t count, float* values, int64_t stride) {
  constexpr int kSide = Tile + 2;
  for (int64_t b = 0; b < job.in_blocks; ++b)
    for (int64_t t = 0; t < count; ++t) {
      const Square square = square_at<Tile>(job, first + t);
      Floats d[kSide][kSide], half[kSide][kSide];
      load_square(job, job.x + b * job.x_block, square.row - job.pad[0], square.column - job.pad[1], d);
#pragma GCC unroll 6
      for (int r = 0; r < kSide; ++r) Axis<Tile>::spread(d[r], half[r]);
      float* to = values + (b * count + t) * kVector;
#pragma GCC unroll 6
      for (int c = 0; c < kSide; ++c) {
        Floats column[kSide], v[kSide];
        for (int r = 0; r < kSide; ++r) column[r] = half[r][c];
        Axis<Tile>::spread(column, v);
        for (int r = 0; r < kSide; ++r) *reinterpret_cast<Floats*>(to + (r * kSide + c) * stride) = v[r];
      }
    }
}

// What the sums of one square become, as far as it lies inside the result.
template <int Tile, class Finish>
inline void store_square(const Winograd& job, const Floats (&sums)[Tile][Tile], int64_t at, Square square, Finish finish) {
  const int64_t rows = std::min<int64_t>(Tile, job.out_height - square.row), columns = std::min<int64_t>(Tile, job.out_width - square.column);
  const int64_t corner = at + square.row * job.y_row + square.column * job.y_pixel;
  const auto store = [&](int r, int c) {
    const int64_t place = corner + r * job.y_row + c * job.y_pixel;
    *reinterpret_cast<Floats*>(job.y + place) = finish(sums[r][c], place);
  };
  if (rows == Tile && columns == Tile) {
#pragma GCC unroll 4
    for (int r = 0; r < Tile; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < Tile; ++c) store(r, c);
    return;
  }
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) store(r, c);
}

template <int Tile, class Finish>
void gather_block(const Winograd& job, int64_t first, int64_t count, int64_t block, const float* products, int64_t stride, Finish finish) {
  constexpr int kSide = Tile + 2;
  for (int64_t t = 0; t < count; ++t) {
    const float* from = products + (block * count + t) * kVector;
    Floats half[Tile][kSide], sums[Tile][Tile];
#pragma GCC unroll 6
    for (int c = 0; c < kSide; ++c) {
      Floats m[kSide], y[Tile];
      for (int r = 0; r < kSide; ++r) m[r] = *reinterpret_cast<const Floats*>(from + (r * kSide + c) * stride);
      Axis<Tile>::gather(m, y);
      for (int r = 0; r < Tile; ++r) half[r][c] = y[r];
    }
#pragma GCC unroll 4
    for (int r = 0; r < Tile; ++r) Axis<Tile>::gather(half[r], sums[r]);
    store_square(job, sums, block * job.y_block, square_at<Tile>(job, first + t), finish);
  }
}

template <int Tile>
void gather_squares(const Winograd& job, int64_t first, int64_t count, const float* products, int64_t stride) {
  const bool bounds = job.first.none() && job.last.kind == FloatFunction::limits;
  for (int64_t b = 0; b * kVector < job.outputs; ++b) {
    const Floats bias = *reinterpret_cast<const Floats*>(job.bias + b * kVector);
    const int64_t lanes = std::min<int64_t>(kVector, job.outputs - b * kVector);
    Ints keep{};
    for (int64_t l = 0; l < lanes; ++l) keep[l] = -1;
    const auto added = [&](Floats v, int64_t place) { return job.residual == nullptr ? v : v + *reinterpret_cast<const Floats*>(job.residual + place); };
    const auto kept = [&](Floats v) { return lanes == kVector ? v : (Floats)((Ints)v & keep); };
    if (bounds)
      gather_block<Tile>(job, first, count, b, products, stride, [&](Floats v, int64_t place) { return kept(applied<FloatFunction::limits, false>(job.last, added(v + bias, place))); });
    else
      gather_block<Tile>(job, first, count, b, products, stride,
                         [&](Floats v, int64_t place) { return kept(applied<false>(job.last, added(applied<false>(job.first, v + bias), place))); });
  }
}

template <int Tile>
constexpr WinogradKernel winograd_row(const char* name, const char* isa, bool (*supported)()) {
  return {name, isa, supported, kVector, Tile, spread_squares<Tile>, gather_squares<Tile>};
}

}  // namespace
}  // namespace pare
