#include "kernels/float_depthwise/float_depthwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "normal_numbers.h"

namespace pare {
namespace {

double applied(const FloatFunction& f, double v) {
  switch (f.kind) {
    case FloatFunction::sigmoid: return 1 / (1 + std::exp(-v));
    case FloatFunction::swish: return v / (1 + std::exp(-double(f.low) * v));
    case FloatFunction::leaky: return v > 0 ? v : v * double(f.low);
    default: return std::min(std::max(v, double(f.low)), double(f.high));
  }
}

// A layer of random extents against its definition in double.
void check_layer(const FloatDepthwiseKernel& kernel, uint64_t seed) {
  Random random(seed);
  const auto between = [&](int64_t low, int64_t high) { return low + int64_t(random.below(uint64_t(high - low + 1))); };
  const int64_t lanes = kernel.lanes, channels = between(1, 3 * lanes), blocks = (channels + lanes - 1) / lanes;
  FloatDepthwise job;
  job.channels = channels;
  job.height = between(1, 9);
  job.width = between(1, 40);
  const bool usual = between(0, 3) != 0;
  int64_t extents[] = {job.height, job.width}, out[2];
  for (size_t i = 0; i < 2; ++i) {
    job.kernel[i] = usual ? 3 + 2 * int64_t(seed % 2) : between(1, 6);
    job.stride[i] = between(1, 2);
    job.dilation[i] = usual ? 1 : between(1, 2);
    job.pad[i] = between(0, 3);
    const int64_t reach = (job.kernel[i] - 1) * job.dilation[i] + 1;
    extents[i] = std::max(extents[i], reach - job.pad[i]);
    out[i] = (extents[i] + job.pad[i] + between(0, 3) - reach) / job.stride[i] + 1;
  }
  job.height = extents[0], job.width = extents[1];
  job.out_height = out[0], job.out_width = out[1];
  const bool last = channels == blocks * lanes && between(0, 1) == 1;  // all channels of a pixel side by side
  job.x_pixel = job.y_pixel = last ? channels : lanes;
  job.x_row = job.width * job.x_pixel;
  job.y_row = out[1] * job.y_pixel;
  job.x_block = last ? lanes : job.height * job.x_row;
  job.y_block = last ? lanes : out[0] * job.y_row;
  const FloatFunction functions[] = {{}, {FloatFunction::limits, 0, 6}, {FloatFunction::sigmoid}, {FloatFunction::swish, 1}, {FloatFunction::leaky, 0.1f}};
  job.last = functions[between(0, 4)];
  if (between(0, 3) == 0) job.first = functions[between(1, 4)];
  const std::vector<float> x = numbers(blocks * lanes * job.height * job.width, random), w = numbers(channels * job.kernel[0] * job.kernel[1], random);
  std::vector<float> bias = numbers(channels, random);
  const std::vector<float> packed = pack_depthwise(kernel, w.data(), channels, job.kernel[0] * job.kernel[1]);
  bias.resize(size_t(blocks * lanes), 0.f);
  std::vector<float> y = numbers(blocks * lanes * out[0] * out[1], random);
  const std::vector<float> before = y;
  job.x = x.data();
  job.weights = packed.data();
  job.bias = bias.data();
  job.y = y.data();
  if (between(0, 1) == 1) job.residual = y.data();  // added to where it lies
  for (int64_t row = 0; row < out[0]; ++row) kernel.run(job, row);
  for (int64_t c = 0; c < blocks * lanes; ++c)
    for (int64_t row = 0; row < out[0]; ++row)
      for (int64_t column = 0; column < out[1]; ++column) {
        const size_t place = size_t(c / lanes * job.y_block + row * job.y_row + column * job.y_pixel + c % lanes);
        if (c >= channels) {
          ASSERT_EQ(y[place], 0.f) << "behind the last channel";
          continue;
        }
        double sum = bias[size_t(c)], size = 1;
        for (int64_t ky = 0; ky < job.kernel[0]; ++ky)
          for (int64_t kx = 0; kx < job.kernel[1]; ++kx) {
            const int64_t i = row * job.stride[0] - job.pad[0] + ky * job.dilation[0], j = column * job.stride[1] - job.pad[1] + kx * job.dilation[1];
            if (i < 0 || j < 0 || i >= job.height || j >= job.width) continue;
            const double term = double(x[size_t(c / lanes * job.x_block + i * job.x_row + j * job.x_pixel + c % lanes)]) * w[size_t((c * job.kernel[0] + ky) * job.kernel[1] + kx)];
            sum += term;
            size += std::abs(term);
          }
        double wanted = applied(job.first, sum);
        if (job.residual != nullptr) wanted += double(before[place]);
        ASSERT_NEAR(y[place], applied(job.last, wanted), 2e-6 * size) << kernel.name << " seed " << seed;
      }
}

TEST(FloatDepthwise, ComputesTheLayer) {
  for (const FloatDepthwiseKernel& kernel : float_depthwise_kernels())
    for (uint64_t seed = 0; kernel.supported() && seed < 300; ++seed) check_layer(kernel, seed);
}

// Where swish vanishes, its error must not grow with the input.
TEST(FloatDepthwise, SwishVanishes) {
  for (const FloatDepthwiseKernel& kernel : float_depthwise_kernels()) {
    if (!kernel.supported()) continue;
    for (const float value : {-10.f, -17.f, -30.f, -1000.f, -1e30f}) {
      const std::vector<float> x(size_t(kernel.lanes), value), weights(size_t(kernel.lanes), 1.f), bias(size_t(kernel.lanes), 0.f);
      std::vector<float> y(size_t(kernel.lanes), 1.f);
      FloatDepthwise job;
      job.x = x.data(), job.weights = weights.data(), job.bias = bias.data(), job.y = y.data();
      job.height = job.width = job.out_height = job.out_width = 1;
      job.channels = job.x_pixel = job.x_row = job.y_pixel = job.y_row = kernel.lanes;
      job.last = {FloatFunction::swish, 1};
      kernel.run(job, 0);
      EXPECT_NEAR(y[0], value / (1 + std::exp(-double(value))), 4e-6) << kernel.name << ' ' << value;
    }
  }
}

}  // namespace
}  // namespace pare
