#pragma once
// conv_int8's layers with weights that are mostly zero: 2-D convolution (no groups) and the fully connected layer, NHWC,
// 8-bit activations, s8 weights. Products with zeros are left out. Input, output, epilogue and scratch are conv_int8's,
// and so are the bits of the result.
//
//   kernel = sparse_int8_kernel(isa), null where no row runs
//   packed = pack_sparse_int8(kernel, shape, weights, form)      once per layer; sparse_int8_forms() may be tried out
//   kernel.run(packed, args, thread, threads)                    by every thread, as for conv_int8
//
// Under one output pixel the kernel covers runs of contiguous input bytes (a whole kernel row, or one tap). The outputs are
// taken in strips of `lanes`. Three forms:
//   gather  for each strip a list of windows of `window` input bytes; a window has items, and an item picks `group` bytes of
//           the window for each output of the strip and multiplies them with that output's weights
//   blocks  for each strip of 16 outputs (or two together) a list of 4-byte groups of the input, broadcast to all outputs
//   planes  pixels instead of outputs lie in the lanes: the input is transposed, and each output has a list of its own of
//           {place in the transposed input, weight}, see planes.h

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/conv_int8/conv_int8.h"

namespace pare {

// Outputs that are computed together, and among which the gathering form may change the order.
constexpr int kSparseInt8Block = 64;
// Outputs of a block of weights, or half of them (SparseInt8Form::together).
constexpr int kSparseInt8Strip = 16;

struct SparseInt8Form {
  int together = 0;  // blocks: strips of 16 outputs that share a list (1 or 2); 0: gather
  int step = 64;     // gather: bytes from one window to the next; below the window's size windows overlap
  int pixels = 12;   // most pixels of a tile
  bool planes = false;
  bool operator==(const SparseInt8Form&) const = default;
};

struct SparseInt8Window {
  std::int32_t offset;  // bytes from a pixel's first input byte
  std::int32_t items;   // blocks: 1
};

// Where the lists of a strip (or of strips together) begin; the next one's beginning is their end.
struct SparseInt8Strip {
  std::size_t window = 0;
  std::size_t line = 0;  // in stream
};

// Kernels of planes fetch the inputs of a quad this many quads before.
constexpr int kSparseInt8Ahead = 4;

// Four weights of an output and their places: bytes from a position of the planes. Neither of both pairs adds up to more than
// 128 in magnitude, so that the sum of its products fits 16 bits.
struct SparseInt8Quad {
  std::int32_t offset[4];
  std::int8_t weight[4];
};

struct PackedSparseInt8 {
  ConvInt8Shape shape;  // a plain 1x1 convolution has its pixels folded into in_h
  SparseInt8Form form;
  int band_rows = 0;
  bool input_signed = false;
  int input_zero = 0;  // as the kernel sees it: s8 inputs are shifted by 128 while they are read
  int run_bytes = 0;
  bool direct = false;            // reads the input where it is
  std::size_t scratch_bytes = 0;  // per thread
  std::vector<SparseInt8Window> windows;
  std::vector<Int8Line> stream;         // gather: items of an index and a weight vector; blocks: weight vectors
  std::vector<SparseInt8Strip> strips;  // [block][strip (or two)], one more at the end
  std::vector<Int8Line> bias;           // int32 [block][64], in the order of the lanes
  std::vector<std::uint8_t> channel;    // [block][64] of each lane, counted in the block
  std::vector<Int8Line> place;          // [block] the inverse: each channel's lane
  std::vector<std::int64_t> cost;       // [block + 1] products of vectors a pixel, summed up
  PackedConvInt8 steps;                 // blocks: instead of these lists, where SparseInt8Kernel::steps runs them
  std::vector<SparseInt8Quad> quads;    // planes: of all outputs, and kSparseInt8Ahead more
  std::vector<std::size_t> quad_begins; // planes: [out_c + 1]

  int blocks() const { return (shape.out_c + kSparseInt8Block - 1) / kSparseInt8Block; }
};

struct SparseInt8Kernel {
  const char* name;
  const char* isa;      // "scalar", "avx2", "avx512vbmi"
  bool (*supported)();  // by the CPU this runs on
  int lanes;            // outputs of a strip
  int group;            // input bytes multiplied by one instruction: 4 (s8 weights), 2 (weights widened to s16)
  int window;           // input bytes an item picks from
  int max_pixels;
  void (*run)(const PackedSparseInt8& packed, const ConvInt8Args& args, int thread, int threads);
  const ConvInt8Kernel* steps = nullptr;  // blocks: the dense kernel that runs the steps that are left; null: run() has lists
  bool planes = false;                    // has that form
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const SparseInt8Kernel> sparse_int8_kernels();
// The best that runs here, or the first of the instruction set asked for (where that is AVX-512, of any of its parts). Null: none.
const SparseInt8Kernel* sparse_int8_kernel(const std::string& isa);

// Forms worth trying for these weights, the most promising first. Empty if the layer has groups.
std::vector<SparseInt8Form> sparse_int8_forms(const SparseInt8Kernel& kernel, const ConvInt8Shape& shape, const std::int8_t* weights);
// Time of a pixel in products of vectors of a dense layer, estimated: `of` such products is what the dense layer needs.
struct SparseInt8Cost {
  double sparse, dense;
};
SparseInt8Cost sparse_int8_cost(const SparseInt8Kernel& kernel, const PackedSparseInt8& packed);

// Of one output, counted as the layer's are.
std::int32_t& sparse_int8_bias(PackedSparseInt8& packed, std::size_t output);

PackedSparseInt8 pack_sparse_int8(const SparseInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& weights, const SparseInt8Form& form);

}  // namespace pare
