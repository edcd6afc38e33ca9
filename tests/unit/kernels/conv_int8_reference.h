#pragma once
// Written for the tests only: integer convolution by its definition.

#include <cstdint>
#include <vector>

#include "kernels/conv_int8/conv_int8.h"
#include "unit/kernels/int8_reference.h"

namespace pare {

struct ConvInt8Case {
  ConvInt8Shape shape;
  EpilogueCase epilogue;
  bool input_signed = false;
  int input_zero = 3;
  bool extreme = false;
  bool bias = true;
  int divisor = 1;  // of random weights, but for every 50th, so that products of several steps fit 16 bits
  int weight = 0;   // all are this, every other output channel's its opposite; 0: random
};

inline std::vector<std::int8_t> conv_int8_weights(std::mt19937& random, const ConvInt8Case& c) {
  const std::size_t inputs = std::size_t(c.shape.in_c) / c.shape.groups * c.shape.kernel_h * c.shape.kernel_w;
  auto weights = random_weights(random, c.shape.out_c * inputs, c.extreme);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (c.divisor > 1 && i % 50 != 0) weights[i] = static_cast<std::int8_t>(weights[i] / c.divisor);
    if (c.weight != 0) weights[i] = static_cast<std::int8_t>(i / inputs % 2 ? -c.weight : c.weight);
  }
  return weights;
}

// Sums by NCHW loops straight from the definition, in int64.
inline std::vector<std::int64_t> conv_int8_reference_sums(const ConvInt8Case& c, const std::vector<std::uint8_t>& x,
                                                   const std::vector<std::int8_t>& w, const std::vector<std::int32_t>& bias) {
  const ConvInt8Shape& s = c.shape;
  const int icg = s.in_c / s.groups, ocg = s.out_c / s.groups;
  std::vector<std::int64_t> sums;
  for (int n = 0; n < s.batch; ++n)
    for (int oh = 0; oh < s.out_h(); ++oh)
      for (int ow = 0; ow < s.out_w(); ++ow)
        for (int oc = 0; oc < s.out_c; ++oc) {
          std::int64_t sum = c.bias ? bias[oc] : 0;
          for (int ic = 0; ic < icg; ++ic)
            for (int kh = 0; kh < s.kernel_h; ++kh)
              for (int kw = 0; kw < s.kernel_w; ++kw) {
                const int ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
                const int iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
                if (ih < 0 || iw < 0 || ih >= s.in_h || iw >= s.in_w) continue;
                const int channel = oc / ocg * icg + ic;
                const int value =
                    int8_value(x[((std::size_t(n) * s.in_h + ih) * s.in_w + iw) * s.in_c + channel], c.input_signed);
                sum += std::int64_t(value - c.input_zero) *
                       w[((std::size_t(oc) * icg + ic) * s.kernel_h + kh) * s.kernel_w + kw];
              }
          sums.push_back(sum);
        }
  return sums;
}

// h, w, in_c, out_c, kernel, stride, pad
inline ConvInt8Shape square(int h, int w, int in_c, int out_c, int k, int stride, int pad) {
  return {1, h, w, in_c, out_c, 1, k, k, stride, stride, 1, 1, pad, pad, pad, pad};
}

}  // namespace pare
