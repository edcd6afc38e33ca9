#pragma once
// 3x3 convolutions of 8-bit activations and s8 weights by a quarter of the multiplications, to the same bits as conv_int8: the transforms of
// F(4x4, 3x3) (Lavin & Gray 2016, Fast Algorithms for Convolutional Neural Networks, section 4) in integers.
//
// Points 0, ±1, ±2, ∞. Pixels become 16-bit values of at most 17,340 at the 36 points; weights, with the transform's fractions taken to
// a common denominator, of at most 18,432. Products are added modulo 2^32, as are the sums that bring them back: 576 = 64 · 9 times the
// convolution's sums. A multiplication by the inverse of 9 and an arithmetic shift by 6 leave these, exactly, if they lie within ±2^25.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/conv_int8/conv_int8.h"

namespace pare {

constexpr int kWinogradInt8Tile = 4;                      // outputs of a square along an axis
constexpr int kWinogradInt8Side = kWinogradInt8Tile + 2;  // points, and pixels under it
constexpr int kWinogradInt8Points = kWinogradInt8Side * kWinogradInt8Side;

struct PackedWinogradInt8 {
  ConvInt8Shape shape;
  bool input_signed = false;
  int inputs = 0, outputs = 0;       // of a group
  int at_once = 0;                   // squares that a thread transforms before it multiplies
  std::ptrdiff_t in_stride = 0;      // 16-bit values from a point's to the next one's in scratch
  std::ptrdiff_t out_stride = 0;     // 32-bit sums, likewise
  std::ptrdiff_t point_weights = 0;  // 16-bit weights of one point
  std::vector<Int8Line> weights;     // s16 [group][point][block of vectors][pair of inputs][vector][lane][2]
  std::vector<Int8Line> bias;        // int32 [group][outputs, filled up to whole vectors]: bias - input_zero * sum(weights)
  std::vector<std::uint8_t> padding;  // the input's zero point, for all inputs of a pixel outside the picture
  std::size_t scratch_bytes = 0;     // per thread

  int squares_across() const { return (shape.out_w() + kWinogradInt8Tile - 1) / kWinogradInt8Tile; }
  int squares() const { return squares_across() * ((shape.out_h() + kWinogradInt8Tile - 1) / kWinogradInt8Tile); }
};

struct WinogradInt8Kernel {
  const char* name;
  const char* isa;
  bool (*supported)();  // by the CPU this runs on
  int inputs;           // that are transformed at once, and that a group must have
  int lanes;            // output channels of one vector
  int max_vectors;      // of a block of outputs
  void (*run)(const PackedWinogradInt8& packed, const ConvInt8Args& args, int thread, int threads);
};

// Every kernel compiled in, best first; only those with supported() may be run.
std::span<const WinogradInt8Kernel> winograd_int8_kernels();
// The best row, or the best that an instruction set includes; null where none runs.
const WinogradInt8Kernel* winograd_int8_kernel(const std::string& isa);

// Whether the layer is one for the kernel: 3x3, every pixel, channels enough, and no sum beyond ±2^25 whatever the input.
bool fits_winograd_int8(const WinogradInt8Kernel& kernel, const ConvInt8Shape& shape, const std::int8_t* weights);
// Bytes that the transformed weights take, eight times as many as before.
std::size_t winograd_int8_weight_bytes(const ConvInt8Shape& shape);

// Only of layers that fit.
PackedWinogradInt8 pack_winograd_int8(const WinogradInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& weights);

// Blocks of vectors of nearly equal size.
struct WinogradInt8Blocks {
  int vectors, count;
  WinogradInt8Blocks(int outputs, int lanes, int max_vectors)
      : vectors((outputs + lanes - 1) / lanes), count((vectors + max_vectors - 1) / max_vectors) {}
  int begin(int block) const { return block * vectors / count; }
};

}  // namespace pare
