#include "kernels/int8_winograd/int8_winograd.h"

#include <algorithm>

#include "kernels/choose_kernel.h"

#define PARE_KERNEL_TYPE WinogradInt8Kernel
#define PARE_KERNELS winograd_int8_kernels
#define PARE_KERNEL_ROWS "kernels/int8_winograd/kernels.inc"
#include "kernels/rows.inc"

namespace pare {
namespace {

// Lavin & Gray's G times 24, each row's factor that the way back must not undo taken out: it undoes 1, 1, 1, 1, 1, 2 (and 1/24 an axis).
constexpr int kTransform[kWinogradInt8Side][3] = {{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4}, {0, 0, 12}};

constexpr std::size_t kCached = 448 << 10;  // bytes of transformed pixels and products that a thread keeps, to stay in its second cache
constexpr int kSquares = 12;                // a multiple of what the kernels multiply at once
constexpr int kMostSquares = 96;
constexpr std::ptrdiff_t kApart = 64;       // bytes behind each point's values: equal places of all points would meet in one set of the first cache

int even(int n) { return (n + 1) / 2 * 2; }

void transform(const std::int8_t* taps, std::int16_t (&points)[kWinogradInt8Points]) {
  for (int i = 0; i < kWinogradInt8Side; ++i) {
    int row[3];
    for (int x = 0; x < 3; ++x) row[x] = kTransform[i][0] * taps[x] + kTransform[i][1] * taps[3 + x] + kTransform[i][2] * taps[6 + x];
    for (int j = 0; j < kWinogradInt8Side; ++j)
      points[i * kWinogradInt8Side + j] = static_cast<std::int16_t>(kTransform[j][0] * row[0] + kTransform[j][1] * row[1] + kTransform[j][2] * row[2]);
  }
}

void pack_weights(PackedWinogradInt8& packed, const WinogradInt8Kernel& kernel, const std::int8_t* taps) {
  const WinogradInt8Blocks blocks(packed.outputs, kernel.lanes, kernel.max_vectors);
  const int pairs = even(packed.inputs) / 2, lanes = kernel.lanes, groups = packed.shape.groups;
  packed.point_weights = std::ptrdiff_t{blocks.vectors} * pairs * lanes * 2;
  packed.weights.assign(std::size_t(groups) * kWinogradInt8Points * std::size_t(packed.point_weights) * 2 / sizeof(Int8Line) + 1, Int8Line{});
  auto* to = reinterpret_cast<std::int16_t*>(packed.weights.front().bytes);
  for (int group = 0; group < groups; ++group, to += kWinogradInt8Points * packed.point_weights)
    for (int block = 0; block < blocks.count; ++block) {
      const int first = blocks.begin(block), width = blocks.begin(block + 1) - first;
      const int outputs = std::min(width * lanes, packed.outputs - first * lanes);
      for (int o = 0; o < outputs; ++o)
        for (int c = 0; c < packed.inputs; ++c) {
          std::int16_t points[kWinogradInt8Points];
          transform(taps + ((std::ptrdiff_t{group} * packed.outputs + first * lanes + o) * packed.inputs + c) * 9, points);
          const std::ptrdiff_t place = std::ptrdiff_t{first} * pairs * lanes * 2 + ((std::ptrdiff_t{c} / 2 * width * lanes) + o) * 2 + c % 2;
          for (int p = 0; p < kWinogradInt8Points; ++p) to[p * packed.point_weights + place] = points[p];
        }
    }
}

void pack_bias(PackedWinogradInt8& packed, const WinogradInt8Kernel& kernel, const ConvInt8Weights& source, int input_zero) {
  const int filled = (packed.outputs + kernel.lanes - 1) / kernel.lanes * kernel.lanes, taps = packed.inputs * 9;
  packed.bias.assign(sizeof(std::int32_t) * std::size_t(filled) * std::size_t(packed.shape.groups) / sizeof(Int8Line) + 1, Int8Line{});
  auto* bias = reinterpret_cast<std::int32_t*>(packed.bias.front().bytes);
  for (int o = 0; o < packed.shape.out_c; ++o) {
    std::int64_t sum = 0;
    for (int i = 0; i < taps; ++i) sum += source.weights[std::ptrdiff_t{o} * taps + i];
    bias[o / packed.outputs * filled + o % packed.outputs] = static_cast<std::int32_t>((source.bias ? source.bias[o] : 0) - input_zero * sum);
  }
}

}  // namespace

const WinogradInt8Kernel* winograd_int8_kernel(const std::string& isa) {
  const WinogradInt8Kernel* kernel = find_kernel(winograd_int8_kernels(), isa);
  return kernel == nullptr && isa.starts_with("avx512") ? find_kernel(winograd_int8_kernels(), "avx2") : kernel;
}

bool fits_winograd_int8(const WinogradInt8Kernel& kernel, const ConvInt8Shape& shape, const std::int8_t* weights) {
  if (shape.kernel_h != 3 || shape.kernel_w != 3 || shape.stride_h != 1 || shape.stride_w != 1 || shape.dilation_h != 1 || shape.dilation_w != 1) return false;
  // Squares that lie mostly outside, and transforms for few channels, cost more than they save.
  if (shape.out_h() <= kWinogradInt8Tile / 2 || shape.out_w() <= kWinogradInt8Tile / 2) return false;
  const int taps = shape.in_c / shape.groups * 9;
  if (shape.in_c / shape.groups < kernel.inputs) return false;
  constexpr std::int64_t kMost = (std::int64_t{1} << 25) - 1;
  for (int o = 0; o < shape.out_c; ++o) {
    std::int64_t above = 0, below = 0;
    for (int i = 0; i < taps; ++i) {
      const int w = weights[std::ptrdiff_t{o} * taps + i];
      (w > 0 ? above : below) += w;
    }
    if (255 * above > kMost || -255 * below > kMost) return false;
  }
  return true;
}

std::size_t winograd_int8_weight_bytes(const ConvInt8Shape& shape) {
  return std::size_t(kWinogradInt8Points) * std::size_t(shape.out_c) * std::size_t(shape.in_c / shape.groups) * 2;
}

PackedWinogradInt8 pack_winograd_int8(const WinogradInt8Kernel& kernel, const ConvInt8Shape& shape, const ConvInt8Weights& weights) {
  PackedWinogradInt8 packed;
  packed.shape = shape;
  packed.input_signed = weights.input_signed;
  packed.inputs = shape.in_c / shape.groups;
  packed.outputs = shape.out_c / shape.groups;
  packed.padding.assign(std::size_t(packed.inputs), static_cast<std::uint8_t>(weights.input_zero));
  pack_weights(packed, kernel, weights.weights);
  pack_bias(packed, kernel, weights, weights.input_zero + (weights.input_signed ? 128 : 0));
  const int filled = (packed.outputs + kernel.lanes - 1) / kernel.lanes * kernel.lanes;
  const std::size_t square_bytes = std::size_t(kWinogradInt8Points) * std::size_t(even(packed.inputs) * 2 + filled * 4);
  const int fit = std::max(1, static_cast<int>(kCached / square_bytes / kSquares)) * kSquares;
  packed.at_once = std::min({fit, kMostSquares, packed.squares()});
  packed.in_stride = std::ptrdiff_t{even(packed.inputs)} * packed.at_once + kApart / 2;
  packed.out_stride = std::ptrdiff_t{filled} * packed.at_once + kApart / 4;
  packed.in_stride = (packed.in_stride + 31) / 32 * 32;  // whole lines
  packed.out_stride = (packed.out_stride + 15) / 16 * 16;
  packed.scratch_bytes = std::size_t(kWinogradInt8Points) * std::size_t(packed.in_stride * 2 + packed.out_stride * 4);
  return packed;
}

}  // namespace pare
