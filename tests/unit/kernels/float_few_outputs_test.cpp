#include "kernels/float_few_outputs/float_few_outputs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/float16.h"
#include "normal_numbers.h"

namespace pare {
namespace {

// A layer of random extents against its definition in double.
void check_layer(const FewOutputsKernel& kernel, uint64_t seed) {
  Random random(seed);
  const auto between = [&](int64_t low, int64_t high) { return low + int64_t(random.below(uint64_t(high - low + 1))); };
  const int64_t lanes = kernel.lanes, channels = between(1, 5 * lanes), blocks = (channels + lanes - 1) / lanes, guard = 3;
  FewOutputs job;
  job.blocks = blocks;
  job.height = between(1, 9);
  job.width = between(1, 40);
  job.outputs = between(1, kMostFewOutputs);
  int64_t extents[] = {job.height, job.width}, out[2], pad_behind[2];
  for (size_t i = 0; i < 2; ++i) {
    job.kernel[i] = between(1, 4);
    job.stride[i] = i == 1 && kernel.together > 1 ? 1 : between(1, 2);
    job.dilation[i] = between(1, 2);
    job.pad[i] = between(0, 2);
    pad_behind[i] = between(0, 2);
    const int64_t reach = (job.kernel[i] - 1) * job.dilation[i] + 1;
    extents[i] = std::max(extents[i], reach);
    out[i] = (extents[i] + job.pad[i] + pad_behind[i] - reach) / job.stride[i] + 1;
  }
  job.height = extents[0];
  job.width = extents[1];
  job.out_height = out[0];
  job.out_width = out[1];
  const bool last = channels == blocks * lanes && kernel.together == 1 && between(0, 1) == 1;  // all channels of a pixel side by side
  job.x_pixel = last ? channels : lanes;
  job.x_row = job.width * job.x_pixel;
  job.x_block = last ? lanes : job.height * job.x_row;
  if (between(0, 1) == 1) job.low = 0, job.high = 1.5f;
  std::vector<float> x = numbers(blocks * lanes * job.height * job.width, random);
  const auto at = [&](int64_t c, int64_t row, int64_t column) -> float& { return x[size_t(c / lanes * job.x_block + row * job.x_row + column * job.x_pixel + c % lanes)]; };
  for (int64_t c = channels; c < blocks * lanes; ++c)
    for (int64_t row = 0; row < job.height; ++row)
      for (int64_t column = 0; column < job.width; ++column) at(c, row, column) = 0;
  const int64_t taps = job.kernel[0] * job.kernel[1];
  std::vector<float> w = numbers(job.outputs * channels * taps, random), bias = numbers(job.outputs, random);
  std::vector<BFloat16> brains;
  if (kernel.bits == 16) {
    for (float& value : w) value = to_float(to_bfloat16(value));
    for (float& value : x) {
      brains.push_back(to_bfloat16(value));
      value = to_float(brains.back());
    }
  }
  const std::vector<std::byte> packed = pack_few_outputs(kernel, w.data(), job.outputs, channels, taps);
  std::vector<float> y(size_t(job.outputs * out[0] * out[1] + guard), 77.f);
  job.x = kernel.bits == 16 ? static_cast<const void*>(brains.data()) : x.data();
  job.weights = packed.data();
  job.bias = bias.data();
  job.y = y.data();
  for (int64_t row = 0; row < out[0]; ++row) {
    kernel.run(job, row, 0, out[1] / 2);
    kernel.run(job, row, out[1] / 2, out[1]);
  }
  for (int64_t o = 0; o < job.outputs; ++o)
    for (int64_t row = 0; row < out[0]; ++row)
      for (int64_t column = 0; column < out[1]; ++column) {
        double sum = bias[size_t(o)], size = 1;
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t ky = 0; ky < job.kernel[0]; ++ky)
            for (int64_t kx = 0; kx < job.kernel[1]; ++kx) {
              const int64_t i = row * job.stride[0] - job.pad[0] + ky * job.dilation[0], j = column * job.stride[1] - job.pad[1] + kx * job.dilation[1];
              if (i < 0 || j < 0 || i >= job.height || j >= job.width) continue;
              const double term = double(at(c, i, j)) * w[size_t((o * channels + c) * taps + ky * job.kernel[1] + kx)];
              sum += term;
              size += std::abs(term);
            }
        const double wanted = std::min(std::max(sum, double(job.low)), double(job.high));
        ASSERT_NEAR(y[size_t((o * out[0] + row) * out[1] + column)], wanted, 1e-6 * size) << kernel.name << " seed " << seed;
      }
  for (int64_t i = 0; i < guard; ++i) ASSERT_EQ(y[y.size() - 1 - size_t(i)], 77.f) << "written behind the result";
}

TEST(FewOutputs, ANaNStays) {
  for (const FewOutputsKernel& kernel : few_outputs_kernels()) {
    if (!kernel.supported()) continue;
    if (kernel.bits != 32) continue;
    const std::vector<float> x(size_t(kernel.lanes), std::nanf("")), w(size_t(kernel.lanes), 1.f), bias{0.f};
    float y = 0;
    FewOutputs job{.x = x.data(), .x_block = kernel.lanes, .x_row = kernel.lanes, .x_pixel = kernel.lanes, .blocks = 1, .height = 1, .width = 1, .weights = w.data(), .bias = bias.data(), .y = &y, .outputs = 1, .out_height = 1, .out_width = 1, .low = 0};
    kernel.run(job, 0, 0, 1);
    EXPECT_TRUE(std::isnan(y)) << kernel.name;
  }
}

TEST(FewOutputs, LikeTheirDefinition) {
  for (const FewOutputsKernel& kernel : few_outputs_kernels())
    for (uint64_t seed = 0; kernel.supported() && seed < 200; ++seed) ASSERT_NO_FATAL_FAILURE(check_layer(kernel, seed));
}

}  // namespace
}  // namespace pare
