#pragma once
// What happens to the int32 sum of an integer convolution before it is stored. Shared by conv_int8 and depthwise_int8.

#include <cstdint>

namespace pare {

// 64 bytes, the alignment every packed array has.
struct alignas(64) Int8Line {
  std::uint8_t bytes[64];
};

enum class Int8Output { u8, s8, f32 };

// A function of a float before the result is quantized. x is a real value; NaN may come out as anything, but everywhere
// the same.
//   leaky_relu     max(x, 0) + alpha min(x, 0)
//   sigmoid        1 / (1 + e^-x)                     error below 1e-6 of the value; coarse: below 2e-6
//   swish          x / (1 + e^(-alpha x))             error below 1e-6 of the value; coarse: below 2e-6 of |x|
//   gelu           x Phi(x), gelu_tanh its usual form with tanh; always coarse: error below 1e-6, 2e-6 of |x|
//   hard_sigmoid   min(max(alpha x + beta, 0), 1)
//   hard_swish     x min(max(alpha x + beta, 0), 1)
struct Int8Activation {
  enum Kind { none, leaky_relu, sigmoid, swish, gelu, gelu_tanh, hard_sigmoid, hard_swish };
  Kind kind = none;
  float alpha = 1, beta = 0;
  bool coarse = false;  // faster, for results that become 8-bit
  float scale = 1;      // the result is multiplied by it: 1 / scale of what follows
};

// Per output element, in this order. Every instruction set gives the same bits: each step is one rounding
// (multiply and add are never fused), rne() rounds to nearest, ties to even, and no step can overflow.
//   v = float(sum) * multiplier[c]
//   if first:     v = first(v) * first.scale
//   if has_mid:   v = float(clamp(rne(v) + mid_zero, mid_lo, mid_hi) - mid_zero) * mid_scale
//   if residual:  v = v + float(residual - residual_zero) * residual_scale
//   if last:      v = last(v) * last.scale
//   u8, s8:       y = table[clamp(rne(v) + out_zero, out_lo, out_hi)], the index and the result as unsigned bytes
//   f32:          y = v limited to [float_lo, float_hi]
// ReLU and ReLU6 are limits. For a quantized output the caller has divided multiplier (or mid_scale) and residual_scale
// by the output's scale, unless an activation follows.
struct Int8Epilogue {
  const float* multiplier = nullptr;  // [channels]
  float most_sum = 2147483648.0f;     // no sum exceeds it in magnitude: the tighter, the more layers may skip a limit
  Int8Activation first, last;

  bool has_mid = false;  // a quantize-dequantize step between the convolution and the residual
  float mid_scale = 1;
  int mid_zero = 0;
  int mid_lo = 0;
  int mid_hi = 255;

  const void* residual = nullptr;  // NHWC of the output's shape, u8 or s8; may be the output itself
  bool residual_signed = false;
  int residual_zero = 0;
  float residual_scale = 1;

  // Elements from one output pixel to the next, where they are more than the layer's channels: the layer writes its part
  // of a concatenation. The residual is read with the same distance. 0: channels.
  int pitch = 0;

  Int8Output type = Int8Output::u8;
  int out_zero = 0;
  int out_lo = 0;  // within the range of the type
  int out_hi = 255;
  const std::uint8_t* table = nullptr;  // 256 entries, or null: no change
  float float_lo = -__builtin_inff();
  float float_hi = __builtin_inff();
};

}  // namespace pare
