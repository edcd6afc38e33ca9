#pragma once
// The 8-bit layers without weights: quantize, dequantize, requantize, add, multiply, pooling, moves, interpolation. Activations are NHWC, u8 or s8.
// rne() rounds to nearest, ties to even; every instruction set gives the same bits.
// All functions do the share of `thread` out of `threads`; the caller waits for all of them.

#include <cstddef>
#include <cstdint>
#include <span>

namespace pare {

// An 8-bit tensor's type; values are (q - zero) * scale.
struct Int8Type {
  bool is_signed = false;
  int zero = 0;
  float scale = 1;
};

// x is [batch][channels][height][width] (nchw) or [batch][height][width][channels]; y is NHWC.
// y = saturate(rne(x / scale) + zero), ONNX QuantizeLinear. NaN gives the lowest value.
struct QuantizeInt8 {
  const float* input = nullptr;
  void* output = nullptr;
  int batch = 1, channels = 1, height = 1, width = 1;
  bool input_nchw = true;
  Int8Type type;
};

// y = (x - zero) * scale, ONNX DequantizeLinear. x is NHWC, y NCHW or NHWC.
struct DequantizeInt8 {
  const void* input = nullptr;
  float* output = nullptr;
  int batch = 1, channels = 1, height = 1, width = 1;
  bool output_nchw = true;
  Int8Type type;
};

// v = float(a - a.zero) * a.scale [+ float(b - b.zero) * b.scale if b];  y = clamp(rne(v) + zero, lo, hi).
// The caller has divided both scales by the output's scale. Without b: requantize.
struct AddInt8 {
  const void* a = nullptr;
  const void* b = nullptr;
  void* output = nullptr;
  std::size_t count = 0;
  Int8Type a_type, b_type;
  bool output_signed = false;
  int out_zero = 0, out_lo = 0, out_hi = 255;
};

// v = float(sum over pixels - pixels * zero) * multiplier;  u8, s8: clamp(rne(v) + out_zero, out_lo, out_hi);  f32: v.
// [batch][pixels][channels] -> [batch][channels].
struct GlobalPoolInt8 {
  const void* input = nullptr;
  void* output = nullptr;
  int batch = 1, pixels = 1, channels = 1;
  bool input_signed = false;
  int input_zero = 0;
  float multiplier = 1;  // scale of the input / pixels [/ scale of the output]
  bool output_float = false;
  bool output_signed = false;
  int out_zero = 0, out_lo = 0, out_hi = 255;
};

// max:      y = max over the window inside the image, type, scale and zero unchanged.
// average:  v = float(sum - n * input_zero) * (multiplier / float(divisor));  y = clamp(rne(v) + out_zero, out_lo,
// out_hi),
//           n = pixels of the window inside the image; divisor = n, or with count_include_pad the pixels of the window
//           inside the padded image. multiplier = scale of the input / scale of the output.
struct PoolInt8 {
  const void* input = nullptr;
  void* output = nullptr;
  int batch = 1, in_h = 1, in_w = 1, channels = 1, out_h = 1, out_w = 1;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool average = false;
  bool count_include_pad = false;
  bool is_signed = false;
  bool output_signed = false;  // average only
  int input_zero = 0;
  float multiplier = 1;
  int out_zero = 0, out_lo = 0, out_hi = 255;
};

// output[sum of i_k * output_strides[k]] = table[input[sum of i_k * input_strides[k]]] for 0 <= i_k < extents[k]; without a
// table the byte itself. Strides in bytes; an input stride may be 0 (a repetition) or negative.
struct MoveInt8 {
  const void* input = nullptr;
  void* output = nullptr;
  const std::uint8_t* table = nullptr;  // 256 entries
  std::int64_t extents[6] = {1, 1, 1, 1, 1, 1};
  std::int64_t input_strides[6] = {0, 0, 0, 0, 0, 1}, output_strides[6] = {0, 0, 0, 0, 0, 1};
  std::int64_t input_offset = 0, output_offset = 0;
};

// With a' = float(a - a.zero), b' likewise:
// add:       v = a' * a.scale + b' * b.scale, both divided by the output's scale by the caller
// multiply:  v = (a' * b') * a.scale, the product of both scales divided by the output's
// y = clamp(rne(v) + out_zero, out_lo, out_hi).  a and y are [batch][pixels][channels]; b's strides say where it repeats.
struct BroadcastInt8 {
  const void* a = nullptr;
  const void* b = nullptr;
  void* output = nullptr;
  bool multiply = false;
  int batch = 1, pixels = 1, channels = 1;
  std::int64_t b_batch = 0, b_pixel = 0;  // bytes; 0: repeated
  bool b_channel = true;                  // b has a value a channel, next to each other; else one for all of a pixel
  Int8Type a_type, b_type;
  bool output_signed = false;
  int out_zero = 0, out_lo = 0, out_hi = 255;
};

// One axis of a linear interpolation: output i is first[i] * (1 - weight[i]) + second[i] * weight[i], both input places.
struct LinearAxis {
  const int* first = nullptr;
  const int* second = nullptr;
  const float* weight = nullptr;
};

// Of NHWC images. With x' = float(x - input_zero), rows first:
//   r = x'[top] + (x'[bottom] - x'[top]) * weight of the row;  v = (r[left] + (r[right] - r[left]) * weight) * multiplier
//   y = clamp(rne(v) + out_zero, out_lo, out_hi).  multiplier = scale of the input / scale of the output.
struct ResizeInt8 {
  const void* input = nullptr;
  void* output = nullptr;
  int batch = 1, in_h = 1, in_w = 1, channels = 1, out_h = 1, out_w = 1;
  LinearAxis rows, cols;
  bool input_signed = false;
  int input_zero = 0;
  float multiplier = 1;
  int out_zero = 0, out_lo = 0, out_hi = 255;
};

struct ElementwiseInt8Kernel {
  const char* name;
  const char* isa;
  bool (*supported)();
  void (*quantize)(const QuantizeInt8& job, int thread, int threads);
  void (*dequantize)(const DequantizeInt8& job, int thread, int threads);
  void (*add)(const AddInt8& job, int thread, int threads);
  void (*global_pool)(const GlobalPoolInt8& job, int thread, int threads);
  void (*pool)(const PoolInt8& job, int thread, int threads);
  void (*move)(const MoveInt8& job, int thread, int threads);
  void (*broadcast)(const BroadcastInt8& job, int thread, int threads);
  void (*resize)(const ResizeInt8& job, int thread, int threads);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const ElementwiseInt8Kernel> elementwise_int8_kernels();

}  // namespace pare
