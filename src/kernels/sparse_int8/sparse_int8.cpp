#include "kernels/sparse_int8/sparse_int8.h"

#include <algorithm>
#include <cmath>

#include "kernels/conv_int8/blocks.h"
#include "kernels/sparse_int8/planes.h"

#define PARE_KERNEL_TYPE SparseInt8Kernel
#define PARE_KERNELS sparse_int8_kernels
#define PARE_KERNEL_ROWS "kernels/sparse_int8/kernels.inc"
#include "kernels/rows.inc"

namespace pare {
namespace {

// Costs in units of a product of vectors whose operands are at hand (measured on Zen 4).
constexpr double kGathered = 4.0 / 3;   // an item a pixel
constexpr double kWindow = 0.7;         // a window's load a pixel
constexpr double kBroadcast = 0.12;     // a group's broadcast a pixel
constexpr double kLines = 2.0;          // an item's or a group's loads, shared by the pixels of a tile
constexpr double kFinish = 3.0;         // a strip's epilogue a pixel
// Planes, in units of a product of AVX2's vectors.
constexpr double kQuad = 0.45;          // four weights a pixel
constexpr double kTurned = 0.35;        // an input channel's byte
constexpr double kTurnedFinish = 2.5;   // an epilogue against that of outputs in lanes
constexpr int kFewPixels = 16;          // with fewer the lanes of planes would be mostly empty: gathering takes less

}  // namespace

const SparseInt8Kernel* sparse_int8_kernel(const std::string& isa) {
  for (const SparseInt8Kernel& kernel : sparse_int8_kernels()) {
    const std::string own = kernel.isa;
    const bool wanted = isa.empty() || isa == own || (isa.starts_with("avx512") && own.starts_with("avx512"));
    if (wanted && kernel.supported()) return &kernel;
  }
  return nullptr;
}

std::int32_t& sparse_int8_bias(PackedSparseInt8& packed, std::size_t output) {
  if (packed.form.planes) return reinterpret_cast<std::int32_t*>(packed.bias.front().bytes)[output];
  if (!packed.steps.bias.empty()) return reinterpret_cast<std::int32_t*>(packed.steps.bias.front().bytes)[output];
  const std::size_t block = output / kSparseInt8Block;
  const std::size_t lane = packed.place[block].bytes[output % kSparseInt8Block];
  return reinterpret_cast<std::int32_t*>(packed.bias.front().bytes)[block * kSparseInt8Block + lane];
}

SparseInt8Cost sparse_int8_cost(const SparseInt8Kernel& kernel, const PackedSparseInt8& packed) {
  const ConvInt8Shape& shape = packed.shape;
  const double strips = (shape.out_c + kernel.lanes - 1) / kernel.lanes;
  const double pixels = double(shape.batch) * shape.out_h() * shape.out_w(), tile = std::min<double>(pixels, packed.form.pixels);
  const double inputs = double(shape.in_c) * shape.kernel_h * shape.kernel_w;
  const double once = strips * kFinish;
  const double dense = strips * (inputs / kernel.group) * (1 + kLines / 2 / tile) + once;
  if (packed.form.planes) {
    const double tiles = std::ceil(pixels / kSparseInt8Positions) * kSparseInt8Positions / pixels;
    return {tiles * (double(packed.quad_begins.back()) * kQuad + shape.in_c * kTurned + once * kTurnedFinish), dense};
  }
  if (packed.form.together > 0 && kernel.steps != nullptr) {
    const double steps = double(packed.steps.listed_steps());
    const double vectors = packed.steps.tiling.vectors * double(kConvInt8Step) / kernel.group;
    return {steps * (vectors + kBroadcast + kLines / tile) + once, dense};
  }
  double items = 0;
  for (const SparseInt8Window& window : packed.windows) items += window.items;
  const double windows = double(packed.windows.size());
  if (packed.form.together > 0) return {windows * (packed.form.together + kBroadcast + kLines / tile) + once, dense};
  return {items * (kGathered + kLines / tile) + windows * kWindow + once, dense};
}

std::vector<SparseInt8Form> sparse_int8_forms(const SparseInt8Kernel& kernel, const ConvInt8Shape& shape, const std::int8_t* weights) {
  // Windows are found by 32-bit offsets.
  const double reach = (double(shape.in_w) + shape.pad_left + shape.pad_right) * shape.in_c * (double(shape.kernel_h) * shape.dilation_h + 1);
  if (shape.groups != 1 || reach > double(1 << 30)) return {};
  std::vector<std::pair<double, SparseInt8Form>> rated;
  const auto rate = [&](SparseInt8Form form) {
    form.pixels = kernel.max_pixels;
    rated.push_back({sparse_int8_cost(kernel, pack_sparse_int8(kernel, shape, {weights}, form)).sparse, form});
  };
  const bool few = std::int64_t{shape.batch} * shape.out_h() * shape.out_w() < kFewPixels;
  for (int step = kernel.window; (!kernel.planes || few) && step >= kernel.window / 4; step /= 2) rate({0, step});
  for (int together : {1, 2}) rate({together, kernel.window});
  if (kernel.planes && !few) rate({.planes = true});
  std::stable_sort(rated.begin(), rated.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<SparseInt8Form> forms;
  for (const auto& [cost, form] : rated)
    if (forms.size() < 3 && cost < 1.5 * rated.front().first) forms.push_back(form);
  return forms;
}

}  // namespace pare
