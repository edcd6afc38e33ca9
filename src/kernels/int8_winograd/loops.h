#pragma once
// The loops of every row. Only for int8_winograd_<isa>.cpp files: `Isa` must be a type of an unnamed namespace, so that no instruction
// set's code is shared with another file. Isa provides
//   Shorts, Ints       vectors (of the compiler's extension) of int16_t and, as many bytes, of uint32_t
//   kMaxVectors        most vectors of Ints in a block of outputs
//   max_squares(vectors)  squares multiplied at once
//   add_pairs(sums, a, b)  sums[i] + a[2 i] b[2 i] + a[2 i + 1] b[2 i + 1]
//   Finish             run(sums, out, pixel) writes neighbouring pixels' sums, [pixel][vector]
// Sums are unsigned: they are meant to wrap.

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/conv_int8/driver.h"
#include "kernels/int8_winograd/int8_winograd.h"

namespace pare {

template <class Isa>
class WinogradInt8Loops {
  using Shorts = typename Isa::Shorts;
  using Ints = typename Isa::Ints;
  // Of memory at any address, whatever it holds else.
  typedef Shorts AnyShorts __attribute__((aligned(1), may_alias));
  typedef Ints AnyInts __attribute__((aligned(1), may_alias));
  static constexpr int kShorts = sizeof(Shorts) / 2, kLanes = sizeof(Ints) / 4;
  static constexpr int kTile = kWinogradInt8Tile, kSide = kWinogradInt8Side, kPoints = kWinogradInt8Points;

 public:
  static void run(const PackedWinogradInt8& packed, const ConvInt8Args& args, int thread, int threads) {
    const WinogradInt8Loops loops(packed, args);
    // Threads share squares, not groups, whose channels lie in the same lines of memory.
    const std::int64_t squares = packed.squares(), all = squares * packed.shape.batch, end = all * (thread + 1) / threads;
    for (std::int64_t at = all * thread / threads; at < end;) {
      const std::int64_t first = at % squares, left = std::min(squares - first, end - at), parts = (left + packed.at_once - 1) / packed.at_once;
      const int count = static_cast<int>((left + parts - 1) / parts);
      for (int group = 0; group < packed.shape.groups; ++group) loops.run_squares(static_cast<int>(at / squares), group, static_cast<int>(first), count);
      at += count;
    }
  }

 private:
  WinogradInt8Loops(const PackedWinogradInt8& packed, const ConvInt8Args& args)
      : packed_(packed), shape_(packed.shape), args_(args), finish_(args, packed.shape.out_c), out_h_(packed.shape.out_h()), out_w_(packed.shape.out_w()),
        pixel_values_((packed.inputs + 1) / 2 * 2), blocks_(packed.outputs, kLanes, Isa::kMaxVectors) {}

  struct Corner {
    int row, column;  // of a square's first output
  };
  Corner corner(int square) const { return {square / packed_.squares_across() * kTile, square % packed_.squares_across() * kTile}; }
  void advance(Corner& at) const {
    at.column += kTile;
    if (at.column < out_w_) return;
    at = {at.row + kTile, 0};
  }

  void run_squares(int image, int group, int first, int count) const {
    auto* values = static_cast<std::int16_t*>(args_.scratch);
    auto* sums = reinterpret_cast<std::uint32_t*>(values + kPoints * packed_.in_stride);
    const std::uint8_t* x = static_cast<const std::uint8_t*>(args_.input) + std::size_t(image) * shape_.in_h * shape_.in_w * shape_.in_c + std::size_t(group) * packed_.inputs;
    const Corner begin = corner(first);
    Corner at = begin;
    for (int t = 0; t < count; ++t, advance(at)) spread(x, at, values + t * pixel_values_);
    const auto* weights = reinterpret_cast<const std::int16_t*>(packed_.weights.front().bytes) + group * kPoints * packed_.point_weights;
    Cut cuts[Isa::kMaxVectors];
    for (int v = 1; v <= Isa::kMaxVectors; ++v) cuts[v - 1] = Cut(count, Isa::max_squares(v));
    for (int p = 0; p < kPoints; ++p) multiply(values + p * packed_.in_stride, weights + p * packed_.point_weights, sums + p * packed_.out_stride, cuts);
    gather(sums, image, group, begin, count);
  }

  // The transform along one axis. All fits 16 bits: 1,275 and 2,040 of one axis, 12,750 and 17,340 of both.
  static inline __attribute__((always_inline)) void spread_axis(const Shorts (&d)[kSide], Shorts (&v)[kSide]) {
    const Shorts even = d[4] - d[2], odd = d[3] - d[1], even4 = d[4] - (d[2] << 2), odd4 = d[3] - (d[1] << 2);
    v[0] = ((d[0] - d[2]) << 2) + even;
    v[1] = even4 + odd4;
    v[2] = even4 - odd4;
    v[3] = even + odd + odd;
    v[4] = even - odd - odd;
    v[5] = d[5] - d[3] - (odd << 2);
  }

  // The pixels under a square to its points. Loops over columns and rows are left to run: unrolled, their addresses would not fit
  // in registers.
  __attribute__((noinline)) void spread(const std::uint8_t* x, Corner corner, std::int16_t* values) const {
    const int top = corner.row - shape_.pad_top, left = corner.column - shape_.pad_left;
    const std::ptrdiff_t pixel = shape_.in_c, row = pixel * shape_.in_w;
    if (top >= 0 && left >= 0 && top + kSide <= shape_.in_h && left + kSide <= shape_.in_w) {
      const std::uint8_t* first = x + top * row + left * pixel;
      spread_channels(values, [=](int channel, int r, int c) { return first + channel + r * row + c * pixel; });
      return;
    }
    const std::uint8_t* pixels[kSide][kSide];
    for (int r = 0; r < kSide; ++r) {
      const bool inside = top + r >= 0 && top + r < shape_.in_h;
      for (int c = 0; c < kSide; ++c)
        pixels[c][r] = inside && left + c >= 0 && left + c < shape_.in_w ? x + (top + r) * row + (left + c) * pixel : packed_.padding.data();
    }
    spread_channels(values, [&](int channel, int r, int c) { return pixels[c][r] + channel; });
  }

  // `kShorts` channels at once; the last ones overlap those before. pixel: channel, row, column → where it lies.
  template <class Pixel>
  inline __attribute__((always_inline)) void spread_channels(std::int16_t* values, const Pixel& pixel) const {
    const std::ptrdiff_t stride = packed_.in_stride;
    for (int done = 0; done < packed_.inputs; done += kShorts) {
      const int channel = std::min(done, packed_.inputs - kShorts);
      Shorts half[kSide][kSide];
#pragma GCC unroll 1
      for (int c = 0; c < kSide; ++c) {
        Shorts d[kSide], v[kSide];
#pragma GCC unroll 6
        for (int r = 0; r < kSide; ++r) d[r] = widened(pixel(channel, r, c));
        spread_axis(d, v);
#pragma GCC unroll 6
        for (int r = 0; r < kSide; ++r) half[r][c] = v[r];
      }
      std::int16_t* to = values + channel;
#pragma GCC unroll 1
      for (int r = 0; r < kSide; ++r, to += kSide * stride) {
        Shorts d[kSide], v[kSide];
#pragma GCC unroll 6
        for (int c = 0; c < kSide; ++c) d[c] = half[r][c];
        spread_axis(d, v);
#pragma GCC unroll 6
        for (int c = 0; c < kSide; ++c) *reinterpret_cast<AnyShorts*>(to + c * stride) = v[c];
      }
    }
  }

  // s8 inputs are shifted by 128.
  Shorts widened(const std::uint8_t* from) const {
    typedef std::uint8_t Bytes __attribute__((vector_size(kShorts), aligned(1), may_alias));
    return __builtin_convertvector(*reinterpret_cast<const Bytes*>(from) ^ flip(), Shorts);
  }
  std::uint8_t flip() const { return packed_.input_signed ? 0x80 : 0; }

  // Squares in tiles of nearly equal size.
  struct Cut {
    int tiles = 0, size = 0, larger = 0;  // the first `larger` have one more
    Cut() = default;
    Cut(int squares, int most) : tiles((squares + most - 1) / most), size(squares / tiles), larger(squares % tiles) {}
  };

  // One point's matrix product: a row of pixel_values_ values for each square, all outputs. cuts: for blocks of 1, 2, … vectors.
  void multiply(const std::int16_t* values, const std::int16_t* weights, std::uint32_t* sums, const Cut* cuts) const {
    const int row = blocks_.vectors * kLanes;
    for (int block = 0, first = 0; block < blocks_.count; ++block) {
      const int end = blocks_.begin(block + 1), vectors = end - first;
      const Cut& cut = cuts[vectors - 1];
      Product product{values, weights, sums + first * kLanes, pixel_values_, row, cut.larger};
      run_product(vectors, cut.size + 1, product);
      product.tiles = cut.tiles - cut.larger;
      run_product(vectors, cut.size, product);
      weights += pixel_values_ * vectors * kLanes;
      first = end;
    }
  }

  struct Product {
    const std::int16_t* values;
    const std::int16_t* weights;
    std::uint32_t* sums;
    int inputs, row;  // values of a square, sums from one square's to the next one's
    int tiles;
  };
  using MultiplyTiles = void (*)(Product&);

  // Moves on behind the squares it multiplied.
  static void run_product(int vectors, int squares, Product& product) {
    if (product.tiles > 0) product_of(vectors, squares, std::make_integer_sequence<int, Isa::kMaxVectors>{})(product);
  }

  template <int Squares, int Vectors>
  static void multiply_tiles(Product& job) {
    for (; job.tiles > 0; --job.tiles, job.values += Squares * job.inputs, job.sums += Squares * job.row) multiply_tile<Squares, Vectors>(job);
  }

  template <int Squares, int Vectors>
  static inline __attribute__((always_inline)) void multiply_tile(const Product& job) {
    Ints sums[Squares][Vectors] = {};
    const std::int16_t *values = job.values, *weights = job.weights;
    for (int c = 0; c < job.inputs; c += 2, weights += 2 * Vectors * kLanes) {
      Shorts w[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) w[v] = *reinterpret_cast<const AnyShorts*>(weights + v * 2 * kLanes);
#pragma GCC unroll 8
      for (int s = 0; s < Squares; ++s) {
        std::uint32_t pair;
        std::memcpy(&pair, values + s * job.inputs + c, sizeof(pair));
        const Shorts x = reinterpret_cast<Shorts>(Ints{} + pair);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[s][v] = Isa::add_pairs(sums[s][v], x, w[v]);
      }
    }
#pragma GCC unroll 8
    for (int s = 0; s < Squares; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) *reinterpret_cast<AnyInts*>(job.sums + s * job.row + v * kLanes) = sums[s][v];
  }

  template <int Vectors, int... S>
  static MultiplyTiles product_of(int squares, std::integer_sequence<int, S...>) {
    static constexpr MultiplyTiles tiles[] = {multiply_tiles<S + 1, Vectors>...};
    return tiles[squares - 1];
  }
  template <int... V>
  static MultiplyTiles product_of(int vectors, int squares, std::integer_sequence<int, V...>) {
    static constexpr MultiplyTiles (*widths[])(int) = {
        [](int count) { return product_of<V + 1>(count, std::make_integer_sequence<int, Isa::max_squares(V + 1)>{}); }...};
    return widths[vectors - 1](squares);
  }

  // The way back along one axis, times 24.
  static inline __attribute__((always_inline)) void gather_axis(const Ints (&m)[kSide], Ints (&y)[kTile]) {
    const Ints sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    y[0] = m[0] + sum + sum2;
    y[1] = difference + (difference2 << 1);
    y[2] = sum + (sum2 << 2);
    y[3] = difference + (difference2 << 3) + (m[5] << 1);
  }

  // One vector of the sums of one square from those at its points, which lie `stride` apart; sums[row][column] is `Vectors` apart from
  // the next. A function of its own, and not part of what writes them: both want all registers.
  template <int Vectors>
  static __attribute__((noinline)) void gather_square(const std::uint32_t* from, std::ptrdiff_t stride, const std::int32_t* bias, Ints* sums) {
    constexpr std::uint32_t kInverseOf9 = 954437177u;  // 9 · 954437177 = 2 · 2^32 + 1
    typedef std::int32_t Signed __attribute__((vector_size(sizeof(Ints))));
    Ints half[kTile][kSide];
#pragma GCC unroll 1
    for (int c = 0; c < kSide; ++c, from += stride) {
      Ints m[kSide], y[kTile];
#pragma GCC unroll 6
      for (int r = 0; r < kSide; ++r) m[r] = *reinterpret_cast<const AnyInts*>(from + r * (kSide * stride));
      gather_axis(m, y);
#pragma GCC unroll 4
      for (int r = 0; r < kTile; ++r) half[r][c] = y[r];
    }
    const Ints added = *reinterpret_cast<const AnyInts*>(bias);
#pragma GCC unroll 1
    for (int r = 0; r < kTile; ++r, sums += kTile * Vectors) {
      Ints m[kSide], y[kTile];
#pragma GCC unroll 6
      for (int c = 0; c < kSide; ++c) m[c] = half[r][c];
      gather_axis(m, y);
#pragma GCC unroll 4
      for (int c = 0; c < kTile; ++c) sums[c * Vectors] = reinterpret_cast<Ints>(reinterpret_cast<Signed>(y[c] * kInverseOf9) >> 6) + added;
    }
  }

  // All outputs of `count` squares, as many vectors at once as pixels have room for.
  void gather(const std::uint32_t* sums, int image, int group, Corner first, int count) const {
    int vector = 0;
    for (; vector + 4 <= blocks_.vectors; vector += 4) gather_vectors<4>(sums, image, group, first, count, vector);
    for (; vector + 2 <= blocks_.vectors; vector += 2) gather_vectors<2>(sums, image, group, first, count, vector);
    if (vector < blocks_.vectors) gather_vectors<1>(sums, image, group, first, count, vector);
  }

  template <int Vectors>
  void gather_vectors(const std::uint32_t* sums, int image, int group, Corner at, int count, int vector) const {
    const int channel = group * packed_.outputs + vector * kLanes, channels = std::min(Vectors * kLanes, packed_.outputs - vector * kLanes);
    alignas(64) float multiplier[Vectors * kLanes] = {};
    std::memcpy(multiplier, args_.epilogue.multiplier + channel, sizeof(float) * std::size_t(channels));
    const std::int32_t* bias = reinterpret_cast<const std::int32_t*>(packed_.bias.front().bytes) + (group * blocks_.vectors + vector) * kLanes;
    const int pitch = args_.epilogue.pitch > 0 ? args_.epilogue.pitch : shape_.out_c;
    ConvTileOutput out{0, kTile, Vectors, channel, channels, pitch, multiplier};
    for (int t = 0; t < count; ++t, advance(at)) {
      Ints square[kTile][kTile][Vectors];
      const std::uint32_t* from = sums + (t * blocks_.vectors + vector) * kLanes;
      for (int v = 0; v < Vectors; ++v) gather_square<Vectors>(from + v * kLanes, packed_.out_stride, bias + v * kLanes, &square[0][0][v]);
      const int rows = std::min(kTile, out_h_ - at.row);
      out.pixels = std::min(kTile, out_w_ - at.column);
      std::size_t pixel = (std::size_t(image) * out_h_ + at.row) * out_w_ + at.column;
      for (int r = 0; r < rows; ++r, pixel += std::size_t(out_w_)) finish_.run(square[r], out, pixel);
    }
  }

  const PackedWinogradInt8& packed_;
  const ConvInt8Shape& shape_;
  const ConvInt8Args& args_;
  typename Isa::Finish finish_;
  int out_h_, out_w_;  // the shape divides to find them
  int pixel_values_;  // 16-bit values of a square at a point
  WinogradInt8Blocks blocks_;
};

}  // namespace pare
