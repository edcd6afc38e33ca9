#pragma once
// 2-D convolution of 8-bit activations (u8 or s8, one zero point) with s8 weights (one scale per output channel), NHWC.
// Also the fully connected layer: in_h = in_w = 1 and batch = rows.
//
//   kernel = a row of conv_int8_kernels() whose supported() says so
//   packed = pack_conv_int8(kernel, shape, ...) once per layer; a tiling from conv_int8_tilings() may be tried out
//   kernel.run(packed, args, thread, threads)   by every thread; each does its share, the caller waits for all of them

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/int8_epilogue/int8_epilogue.h"

namespace pare {

constexpr int kConvInt8Step = 4;   // input bytes multiplied by one instruction
constexpr int kConvInt8Joins = 3;  // lists of joined steps

struct ConvInt8Shape {
  int batch = 1;
  int in_h = 1, in_w = 1, in_c = 1;
  int out_c = 1;
  int groups = 1;
  int kernel_h = 1, kernel_w = 1;
  int stride_h = 1, stride_w = 1;
  int dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;

  int out_h() const { return (in_h + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1; }
  int out_w() const { return (in_w + pad_left + pad_right - dilation_w * (kernel_w - 1) - 1) / stride_w + 1; }
  bool operator==(const ConvInt8Shape&) const = default;
};

// How the work is cut. A tile of `pixels` x `vectors` sums lives in registers (one vector = ConvInt8Kernel::lanes
// output channels); all channel blocks pass over a band of `band_rows` output rows before the next band.
struct ConvInt8Tiling {
  int pixels = 0;  // most pixels of a tile; the pixels of a band are cut into tiles of nearly equal size
  int vectors = 0;
  int band_rows = 0;
  bool operator==(const ConvInt8Tiling&) const = default;
};

// Where a block's steps begin in PackedConvInt8::{joined,wide}; the next one's beginning is their end.
struct ConvInt8Steps {
  std::size_t step = 0, byte = 0;
};

// Steps of all blocks, each with the input it multiplies.
struct ConvInt8StepList {
  std::vector<ConvInt8Steps> begins;    // [group][block], one more at the end
  std::vector<std::ptrdiff_t> offsets;  // bytes from a pixel's first input byte
  std::vector<Int8Line> weights;
};

// Weights laid out for one kernel and one tiling.
struct PackedConvInt8 {
  ConvInt8Shape shape;  // a plain 1x1 convolution has its pixels folded into in_h
  ConvInt8Tiling tiling;
  bool input_signed = false;
  int input_zero = 0;  // as the kernel sees it: s8 inputs are shifted by 128 while they are read
  int run_bytes = 0;   // bytes of one contiguous run of input under the kernel (a kernel row, or one tap)
  int steps = 0;       // run_bytes in steps of kConvInt8Step, rounded up
  std::vector<std::ptrdiff_t> run_offsets;  // per run: bytes from the first, in scratch or (direct) in the input
  std::vector<Int8Line> weights;            // [group][vector][run][step] as described in conv_int8/pack.cpp
  std::vector<Int8Line> bias;  // int32 [group][channel], bias - input_zero * sum(weights), padded to whole vectors
  // Instead of `weights`, for kernels that add the products of a pair in 16 bits (ConvInt8Kernel::pairs):
  // 1, 2, 4 steps whose products can be added in 16 bits, one behind the other, each as in `weights`.
  std::array<ConvInt8StepList, kConvInt8Joins> joined;
  ConvInt8StepList wide;          // the others, [vector][lane][even 2] then [vector][lane][odd 2], s16
  bool direct = false;            // reads the input where it is: no padding, no shift, no row ends to guard
  std::size_t scratch_bytes = 0;  // per thread

  std::size_t listed_steps() const {
    std::size_t count = wide.offsets.size();
    for (const ConvInt8StepList& list : joined) count += list.offsets.size();
    return count;
  }
};

struct ConvInt8Args {
  const void* input = nullptr;  // [batch][in_h][in_w][in_c]
  void* output = nullptr;       // [batch][out_h][out_w][out_c]
  void* scratch = nullptr;      // packed.scratch_bytes for this thread, 64-byte aligned; null if 0
  Int8Epilogue epilogue;
};

struct ConvInt8Kernel {
  const char* name;
  const char* isa;      // "scalar", "avx2", "avx512vnni"
  bool (*supported)();  // by the CPU this runs on
  int lanes;            // output channels of one vector
  bool pairs;           // adds the products of a pair in 16 bits
  int max_vectors;
  int (*max_pixels)(int vectors);
  void (*run)(const PackedConvInt8& packed, const ConvInt8Args& args, int thread, int threads);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const ConvInt8Kernel> conv_int8_kernels();

// Tilings worth trying, the default first.
std::vector<ConvInt8Tiling> conv_int8_tilings(const ConvInt8Kernel& kernel, const ConvInt8Shape& shape);

struct ConvInt8Weights {
  const std::int8_t* weights = nullptr;  // [out_c][in_c / groups][kernel_h][kernel_w]
  const std::int32_t* bias = nullptr;    // [out_c] in units of input scale x weight scale, or null
  bool input_signed = false;
  int input_zero = 0;          // in the input's own type
  bool without_zeros = false;  // leave out steps whose weights are all zero, where the kernel has lists of them
};

PackedConvInt8 pack_conv_int8(const ConvInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& weights);
PackedConvInt8 pack_conv_int8(const ConvInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& weights,
                              const ConvInt8Tiling& tiling);

}  // namespace pare
