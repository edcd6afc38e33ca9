// The loops of every row, compiled once for each instruction set; included by those files only.
#pragma once
#include <cstdint>

#include "kernels/float_few_outputs/float_few_outputs.h"
#include "kernels/float_taps.h"
#include "kernels/float_vectors.h"

namespace pare {
namespace {

// Registers of places in a row whose sums are kept at once: about twelve with the outputs.
template <int Outputs>
constexpr int kRegisters = Outputs == 1 ? 8 : 12 / Outputs;

inline float sum_of(Floats v) {
  for (int l = kVector / 2; l > 0; l /= 2)
    for (int i = 0; i < l; ++i) v[i] += v[i + l];
  return v[0];
}

// A register holds the channels of one place.
struct Singles {
  using Element = float;
  using Value = Floats;
  static constexpr int kTogether = 1;
  static Value values(const Element* x) { return *reinterpret_cast<const Floats*>(x); }
  static Value one(const Element* x) { return values(x); }
  static Floats multiply_add(Floats sum, Value x, Value w) { return sum + x * w; }
  static void total(Floats sum, float (&y)[1]) { y[0] = sum_of(sum); }
};

// `Registers` of neighbours in one row from `column` on, whose windows meet the same taps; Alone: of a single place.
template <class Form, int Outputs, int Registers, bool Alone>
inline void add_places(const FewOutputs& job, int64_t row, int64_t column, Taps down, Taps along) {
  using Element = typename Form::Element;
  const int64_t y0 = row * job.stride[0] - job.pad[0], x0 = column * job.stride[1] - job.pad[1];
  const int64_t place = job.stride[1] * job.x_pixel * Form::kTogether, vector = kVector * 4 / int64_t(sizeof(Element)), tap = Outputs * vector;
  Floats sums[Outputs][Registers] = {};
  // Block by block: blocks of channels often lie a multiple of pages apart, where they would push each other out of the L1 cache.
  for (int64_t b = 0; b < job.blocks; ++b)
    for (int64_t ky = down.first; ky < down.last; ++ky) {
      const Element* x = static_cast<const Element*>(job.x) + b * job.x_block + (y0 + ky * job.dilation[0]) * job.x_row + (x0 + along.first * job.dilation[1]) * job.x_pixel;
      const Element* w = static_cast<const Element*>(job.weights) + ((b * job.kernel[0] + ky) * job.kernel[1] + along.first) * tap;
      for (int64_t kx = along.first; kx < along.last; ++kx, x += job.dilation[1] * job.x_pixel, w += tap)
        for (int p = 0; p < Registers; ++p) {
          const typename Form::Value value = Alone ? Form::one(x) : Form::values(x + p * place);
          for (int o = 0; o < Outputs; ++o) sums[o][p] = Form::multiply_add(sums[o][p], value, Form::values(w + o * vector));
        }
    }
  for (int o = 0; o < Outputs; ++o) {
    float* y = job.y + (o * job.out_height + row) * job.out_width + column;
    for (int p = 0; p < Registers; ++p) {
      float totals[Form::kTogether];
      Form::total(sums[o][p], totals);
      for (int t = 0; t < (Alone ? 1 : Form::kTogether); ++t) {
        const float sum = totals[t] + job.bias[o], above = sum < job.low ? job.low : sum;  // NaN stays
        y[p * Form::kTogether + t] = above > job.high ? job.high : above;
      }
    }
  }
}

template <class Form, int Outputs>
void add_row(const FewOutputs& job, int64_t row, int64_t first, int64_t last) {
  constexpr int kAtOnce = kRegisters<Outputs> * Form::kTogether;
  const auto along = [&](int64_t column) { return taps_of(column * job.stride[1] - job.pad[1], job.dilation[1], job.kernel[1], job.width); };
  const Taps down = taps_of(row * job.stride[0] - job.pad[0], job.dilation[0], job.kernel[0], job.height);
  for (int64_t column = first; column < last;) {
    const Taps taps = along(column);
    const bool inside = taps.first == 0 && taps.last == job.kernel[1] && column + kAtOnce <= last && along(column + kAtOnce - 1).last == job.kernel[1];
    if (inside) add_places<Form, Outputs, kRegisters<Outputs>, false>(job, row, column, down, taps);
    else add_places<Form, Outputs, 1, true>(job, row, column, down, taps);
    column += inside ? kAtOnce : 1;
  }
}

template <class Form>
void run_few_outputs(const FewOutputs& job, int64_t row, int64_t first, int64_t last) {
  constexpr void (*kRows[])(const FewOutputs&, int64_t, int64_t, int64_t) = {add_row<Form, 1>, add_row<Form, 2>, add_row<Form, 3>, add_row<Form, 4>};
  static_assert(sizeof(kRows) / sizeof(kRows[0]) == kMostFewOutputs);
  kRows[job.outputs - 1](job, row, first, last);
}

}  // namespace
}  // namespace pare
