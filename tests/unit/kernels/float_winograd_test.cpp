#include "kernels/float_winograd/float_winograd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "normal_numbers.h"

namespace pare {
namespace {

// A layer of random extents, every square of it at once, against its definition in double.
void check_layer(const WinogradKernel& kernel, uint64_t seed) {
  Random random(seed);
  const auto between = [&](int64_t low, int64_t high) { return low + int64_t(random.below(uint64_t(high - low + 1))); };
  const int64_t lanes = kernel.lanes, inputs = between(1, 3 * lanes), outputs = between(1, 3 * lanes);
  const int64_t in_blocks = (inputs + lanes - 1) / lanes, out_blocks = (outputs + lanes - 1) / lanes, guard = 5;
  Winograd job;
  job.in_blocks = in_blocks;
  job.outputs = outputs;
  for (int64_t& pad : job.pad) pad = between(0, 2);
  job.height = between(3, 14);
  job.width = between(3, 14);
  job.out_height = job.height + job.pad[0] + between(0, 2) - 2;
  job.out_width = job.width + job.pad[1] + between(0, 2) - 2;
  const bool last = between(0, 1) == 1;  // all channels of a pixel side by side
  job.x_pixel = last ? in_blocks * lanes : lanes;
  job.x_row = job.width * job.x_pixel;
  job.x_block = last ? lanes : job.height * job.x_row;
  job.y_pixel = last ? out_blocks * lanes : lanes;
  job.y_row = job.out_width * job.y_pixel;
  job.y_block = last ? lanes : job.out_height * job.y_row;
  std::vector<float> x = numbers(in_blocks * lanes * job.height * job.width, random);
  const std::vector<float> w = numbers(outputs * inputs * 9, random), residual = numbers(out_blocks * lanes * job.out_height * job.out_width, random);
  std::vector<float> bias = numbers(out_blocks * lanes, random);
  std::fill(bias.begin() + outputs, bias.end(), 0.f);
  std::vector<float> y(residual.size() + size_t(guard), 77.f);
  job.x = x.data();
  job.y = y.data();
  job.bias = bias.data();
  if (between(0, 1) == 1) job.residual = residual.data();
  const int64_t kind = between(0, 3);
  if (kind == 1) job.last.low = 0;
  if (kind == 2) job.first.kind = FloatFunction::swish, job.first.low = 1;
  if (kind == 3) job.last.kind = FloatFunction::leaky, job.last.low = 0.1f;

  const int64_t points = winograd_points(kernel), squares = winograd_tiles(kernel, job.out_height, job.out_width);
  const std::vector<float> u = winograd_weights(kernel, w.data(), outputs, inputs);
  const int64_t in_stride = in_blocks * squares * lanes + 3, out_stride = out_blocks * squares * lanes + 5, half = squares / 2;
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, half}, {half, squares - half}}) {
    std::vector<float> values(size_t(points * in_stride), 99.f), products(size_t(points * out_stride), 0.f);
    kernel.spread(job, first, count, values.data(), in_stride);
    for (int64_t p = 0; p < points; ++p)
      for (int64_t t = 0; t < count; ++t)
        for (int64_t o = 0; o < outputs; ++o) {
          double sum = 0;
          for (int64_t c = 0; c < inputs; ++c) sum += double(values[size_t(p * in_stride + (c / lanes * count + t) * lanes + c % lanes)]) * u[size_t((p * inputs + c) * outputs + o)];
          products[size_t(p * out_stride + (o / lanes * count + t) * lanes + o % lanes)] = float(sum);
        }
    kernel.gather(job, first, count, products.data(), out_stride);
  }

  const auto x_at = [&](int64_t c, int64_t row, int64_t column) {
    const bool inside = row >= 0 && row < job.height && column >= 0 && column < job.width;
    return inside ? double(x[size_t(c / lanes * job.x_block + row * job.x_row + column * job.x_pixel + c % lanes)]) : 0.0;
  };
  for (int64_t o = 0; o < out_blocks * lanes; ++o)
    for (int64_t row = 0; row < job.out_height; ++row)
      for (int64_t column = 0; column < job.out_width; ++column) {
        const auto at = size_t(o / lanes * job.y_block + row * job.y_row + column * job.y_pixel + o % lanes);
        double sum = o < outputs ? double(bias[size_t(o)]) : 0;
        for (int64_t c = 0; o < outputs && c < inputs; ++c)
          for (int64_t k = 0; k < 9; ++k) sum += double(w[size_t((o * inputs + c) * 9 + k)]) * x_at(c, row - job.pad[0] + k / 3, column - job.pad[1] + k % 3);
        if (kind == 2) sum /= 1 + std::exp(-sum);
        if (job.residual != nullptr) sum += double(residual[at]);
        if (kind == 1) sum = std::max(sum, 0.0);
        if (kind == 3) sum *= sum > 0 ? 1 : double(0.1f);
        ASSERT_NEAR(y[at], o < outputs ? sum : 0.0, 2e-3) << kernel.name << " seed " << seed << " at " << o << ", " << row << ", " << column;  // sums are of the size 20
      }
  for (size_t i = residual.size(); i < y.size(); ++i) ASSERT_EQ(y[i], 77.f);
}

TEST(FloatWinograd, ComputesItsDefinition) {
  for (const WinogradKernel& kernel : winograd_kernels())
    if (kernel.supported())
      for (uint64_t seed = 0; seed < 60; ++seed) check_layer(kernel, seed);
}

TEST(FloatWinograd, LargeTilesFirst) {
  const auto best = best_winograd_kernels();
  ASSERT_EQ(best.size(), 2u);
  EXPECT_EQ(best[0]->tile, 4);
  EXPECT_EQ(best[1]->tile, 2);
  EXPECT_EQ(best[0]->lanes, best[1]->lanes);
}

}  // namespace
}  // namespace pare
