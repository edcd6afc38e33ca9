#include "kernels/sparse_int8/sparse_int8.h"

#include <algorithm>

#include "kernels/conv_int8/blocks.h"

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

}  // namespace

const SparseInt8Kernel* sparse_int8_kernel(const std::string& isa) {
  for (const SparseInt8Kernel& kernel : sparse_int8_kernels()) {
    const std::string own = kernel.isa;
    const bool wanted = isa.empty() || isa == own || (isa.starts_with("avx512") && own.starts_with("avx512"));
    if (wanted && kernel.supported()) return &kernel;
  }
  return nullptr;
}

SparseInt8Cost sparse_int8_cost(const SparseInt8Kernel& kernel, const PackedSparseInt8& packed) {
  const ConvInt8Shape& shape = packed.shape;
  const double strips = (shape.out_c + kernel.lanes - 1) / kernel.lanes;
  const double pixels = double(shape.batch) * shape.out_h() * shape.out_w(), tile = std::min<double>(pixels, packed.form.pixels);
  const double inputs = double(shape.in_c) * shape.kernel_h * shape.kernel_w;
  double items = 0;
  for (const SparseInt8Window& window : packed.windows) items += window.items;
  const double windows = double(packed.windows.size());
  const double once = strips * kFinish;
  const double dense = strips * (inputs / kernel.group) * (1 + kLines / 2 / tile) + once;
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
  for (int step = kernel.window; step >= kernel.window / 4; step /= 2) rate({0, step});
  if (kernel.blocks)
    for (int together : {1, 2}) rate({together, kernel.window});
  std::stable_sort(rated.begin(), rated.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<SparseInt8Form> forms;
  for (const auto& [cost, form] : rated)
    if (forms.size() < 3 && cost < 1.5 * rated.front().first) forms.push_back(form);
  return forms;
}

}  // namespace pare
