#include "kernels/low_bit/low_bit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/float16.h"
#include "base/random.h"

namespace pare {
namespace {

struct Case {
  LowBitShape shape;
  int64_t rows;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const LowBitPlanes planes : {LowBitPlanes::pair, LowBitPlanes::pair_bit, LowBitPlanes::nibble,
                                    LowBitPlanes::nibble_bit, LowBitPlanes::nibble_pair, LowBitPlanes::byte})
    for (const int group : {16, 32})
      for (const bool offsets : {false, true})
        for (const auto& [outputs, inputs, rows] :
             {std::tuple(1, 32, 1), std::tuple(16, 64, 4), std::tuple(37, 96, 13), std::tuple(50, 576, 1)})
          all.push_back(
              {{outputs, inputs, planes, group, offsets ? 0 : 1 << (low_bit_bits(planes) - 1), offsets}, rows});
  Case uneven{{20, 160, LowBitPlanes::nibble, 32, 128, false, true}, 9};
  for (int i = 0; i < 16; ++i) uneven.shape.levels[i] = uint8_t(1 + 16 * i - i / 3);
  all.push_back(uneven);
  return all;
}

struct Layer {
  std::vector<LowBitRow> rows;
  PackedLowBit packed;
};

Layer layer_of(const LowBitShape& shape, Random& random) {
  Layer layer;
  for (int64_t o = 0; o < shape.outputs; ++o) {
    LowBitRow row;
    for (int64_t i = 0; i < shape.inputs; ++i)
      row.levels.push_back(uint8_t(random.below(1ull << low_bit_bits(shape.planes))));
    for (int64_t g = 0; g < shape.inputs / shape.group; ++g) {
      row.scales.push_back(to_float(to_half(float(random.normal()) * 0.01f)));
      row.offsets.push_back(to_float(to_half(float(random.normal()) * 0.1f)));
    }
    layer.rows.push_back(row);
  }
  layer.packed = pack_low_bit(
      shape,
      [&](int64_t o, LowBitRow& row) {
        const LowBitRow& from = layer.rows[size_t(o)];
        std::copy(from.levels.begin(), from.levels.end(), row.levels.begin());
        row.scales = from.scales;
        row.offsets = from.offsets;
      },
      [](int64_t n, const auto& body) { body(0, n); });
  return layer;
}

// Straight from the definition in low_bit.h, in double.
double expected(const LowBitShape& shape, const LowBitRow& row, const int8_t* x, const LowBitGroup* groups) {
  double sum = 0;
  for (int64_t i = 0; i < shape.inputs; ++i) {
    const auto g = size_t(i / shape.group);
    const int level = shape.table ? shape.levels[row.levels[size_t(i)]] : row.levels[size_t(i)];
    const double w = double(row.scales[g]) * (level - shape.zero) - (shape.offsets ? double(row.offsets[g]) : 0);
    sum += double(x[i]) * groups[g].scale * w;
  }
  return sum;
}

TEST(LowBit, EveryKernelComputesTheDefinition) {
  for (const LowBitKernel& kernel : low_bit_kernels()) {
    if (!kernel.supported()) continue;
    Random random(5);
    for (const auto& [shape, rows] : cases()) {
      const Layer layer = layer_of(shape, random);
      std::vector<float> x(size_t(rows * shape.inputs)), bias(size_t(shape.outputs)),
          residual(size_t(rows * shape.outputs)), y(residual.size() + 16, -7.f);
      for (auto* values : {&x, &bias, &residual})
        for (float& v : *values) v = float(random.normal());
      std::vector<int8_t> values(size_t(rows * shape.units() * LowBitShape::kUnit), 99);
      std::vector<LowBitGroup> groups(size_t(rows * shape.groups()));
      for (int64_t r = 0; r < rows; ++r)
        kernel.quantize(shape, x.data() + r * shape.inputs, values.data() + r * shape.units() * LowBitShape::kUnit,
                        groups.data() + r * shape.groups());
      for (int thread = 0; thread < 3; ++thread)
        kernel.run(layer.packed, {{values.data(), groups.data()}, rows, bias.data(), residual.data(), y.data()}, thread,
                   3);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t o = 0; o < shape.outputs; ++o) {
          const double exact =
              bias[size_t(o)] + residual[size_t(r * shape.outputs + o)] +
              expected(shape, layer.rows[size_t(o)], values.data() + r * shape.units() * LowBitShape::kUnit,
                       groups.data() + r * shape.groups());
          ASSERT_NEAR(y[size_t(r * shape.outputs + o)], exact,
                      1e-4 * (1 + std::abs(exact)) * std::sqrt(double(shape.inputs)))
              << kernel.name << " bits " << low_bit_bits(shape.planes) << " group " << shape.group << " offsets "
              << shape.offsets << " " << shape.outputs << "x" << shape.inputs << " row " << r << " output " << o;
        }
      for (size_t i = residual.size(); i < y.size(); ++i) ASSERT_EQ(y[i], -7.f) << "written behind the result";
    }
  }
}

// Sums of products must not overflow where every level and every activation is the largest.
TEST(LowBit, NoSumOverflows) {
  for (const LowBitKernel& kernel : low_bit_kernels()) {
    if (!kernel.supported()) continue;
    for (auto [shape, rows] : cases()) {
      shape.zero = 0;
      LowBitRow row{
          std::vector<uint8_t>(size_t(shape.inputs), uint8_t(shape.table ? 15 : (1 << low_bit_bits(shape.planes)) - 1)),
          std::vector<float>(size_t(shape.inputs / shape.group), 1.f),
          {}};
      row.offsets.assign(row.scales.size(), 0.f);
      const PackedLowBit packed = pack_low_bit(
          shape,
          [&](int64_t, LowBitRow& to) {
            std::copy(row.levels.begin(), row.levels.end(), to.levels.begin()), to.scales = row.scales,
                                                                                to.offsets = row.offsets;
          },
          [](int64_t n, const auto& body) { body(0, n); });
      for (const float sign : {1.f, -1.f}) {
        const std::vector<float> x(size_t(shape.inputs), 127 * sign);
        std::vector<int8_t> values(size_t(rows * shape.units() * LowBitShape::kUnit));
        std::vector<LowBitGroup> groups(size_t(rows * shape.groups()));
        for (int64_t r = 0; r < rows; ++r)
          kernel.quantize(shape, x.data(), values.data() + r * shape.units() * LowBitShape::kUnit,
                          groups.data() + r * shape.groups());
        std::vector<float> y(size_t(rows * shape.outputs));
        kernel.run(packed, {{values.data(), groups.data()}, rows, nullptr, nullptr, y.data()}, 0, 1);
        const double exact = expected(shape, row, values.data(), groups.data());
        for (const float sum : y)
          ASSERT_NEAR(sum, exact, 1e-5 * std::abs(exact))
              << kernel.name << " bits " << low_bit_bits(shape.planes) << " group " << shape.group;
      }
    }
  }
}

// The largest of 32 values becomes 127, the others the nearest step; the sum is that of what was stored.
TEST(LowBit, ActivationsAreRoundedToTheNearestStep) {
  for (const LowBitKernel& kernel : low_bit_kernels()) {
    if (!kernel.supported()) continue;
    const LowBitShape shape{1, 96, LowBitPlanes::nibble, 16};
    Random random(9);
    std::vector<float> x(96);
    for (float& v : x) v = float(random.normal());
    std::fill(x.begin() + 32, x.begin() + 64, 0.f);
    std::vector<int8_t> q(128, 55);
    std::vector<LowBitGroup> groups(8);
    kernel.quantize(shape, x.data(), q.data(), groups.data());
    for (size_t i = 0; i < 96; ++i)
      EXPECT_NEAR(q[i] * groups[i / 16].scale, x[i], 0.501f * groups[i / 16].scale + 1e-9f) << kernel.name;
    for (size_t i = 96; i < 128; ++i) EXPECT_EQ(q[i], 0);
    for (size_t g = 0; g < 8; ++g) {
      double sum = 0;
      for (size_t i = 0; i < 16; ++i) sum += q[g * 16 + i] * double(groups[g].scale);
      EXPECT_NEAR(groups[g].sum, sum, 1e-5);
    }
    int most = 0;
    for (size_t i = 0; i < 32; ++i) most = std::max(most, std::abs(int(q[i])));
    EXPECT_EQ(most, 127);
  }
}

}  // namespace
}  // namespace pare
