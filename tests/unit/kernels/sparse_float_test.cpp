#include "kernels/sparse_float/sparse_float.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"

namespace pare {
namespace {

std::vector<float> normals(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = float(random.normal());
  return values;
}

// Weights of which `zeros` are zero; of four neighbouring outputs all or none where `fours`.
std::vector<float> sparse_weights(int64_t outputs, int64_t inputs, double zeros, bool fours, uint64_t seed) {
  std::vector<float> weights = normals(size_t(outputs * inputs), seed);
  Random random(seed + 1);
  std::vector<char> dead(weights.size());
  for (char& d : dead) d = random.uniform() < zeros;
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t k = 0; k < inputs; ++k)
      if (dead[size_t((fours ? o / 4 : o) * inputs + k)] != 0) weights[size_t(o * inputs + k)] = 0;
  return weights;
}

// Pixels of a map in plain order; zero outside.
struct Map {
  int64_t height, width;
  const float* values;
  double at(int64_t y, int64_t x) const { return y < 0 || x < 0 || y >= height || x >= width ? 0 : values[y * width + x]; }
};

// Fills the rings of every channel.
void close_maps(const SparseFloatKernel& kernel, std::vector<float>& lanes, int64_t channels, const SparseLanes& map) {
  std::vector<int32_t> all(static_cast<size_t>(channels));
  std::iota(all.begin(), all.end(), 0);
  const auto at = [&](int64_t band) { return lanes.data() + band * map.band(channels); };
  for (int64_t band = 0; band < map.bands; ++band) kernel.close(map, band, channels, at(band), all, 1);
  for (int64_t band = 0; band < map.bands; ++band) kernel.join(map, band, channels, at(band), map.band(channels));
}

std::vector<float> to_lanes(const SparseFloatKernel& kernel, const std::vector<float>& plain, int64_t channels, const SparseLanes& map) {
  std::vector<float> lanes(size_t(map.bands * map.band(channels)), NAN);
  for (int64_t band = 0; band < map.bands; ++band)
    for (int64_t c = 0; c < channels; ++c)
      kernel.enter(map, band, plain.data() + c * map.height * map.width, map.width, 1,
                   lanes.data() + band * map.band(channels) + c * map.channel());
  close_maps(kernel, lanes, channels, map);
  return lanes;
}

float lane_at(const std::vector<float>& lanes, const SparseLanes& map, int64_t channels, int64_t channel, int64_t y, int64_t x) {
  const int64_t row = y / map.sub_height(), lane = row % 4 * 4 + x / map.sub_width();
  return lanes[size_t(row / 4 * map.band(channels) + channel * map.channel() + map.origin() +
                      y % map.sub_height() * map.row() + x % map.sub_width() * kSparseLanes + lane)];
}

struct Case {
  int64_t height, width, inputs, outputs, kernel, stride;
  double zeros;
  bool fours;
  int rows, columns;
  int64_t block;
  int64_t ring = 1, dilation = 1;  // around the result; of the kernel
  int64_t bands = 1;
};

void check_case(const SparseFloatKernel& kernel, const Case& c) {
  SCOPED_TRACE(std::string(kernel.name) + " " + std::to_string(c.height) + "x" + std::to_string(c.width) + " k" + std::to_string(c.kernel) + " s" + std::to_string(c.stride) + " tile " + std::to_string(c.rows) + "x" + std::to_string(c.columns) + (c.fours ? " fours" : ""));
  const int64_t pad = c.dilation * (c.kernel - 1) / 2, out_h = (c.height - 1) / c.stride + 1, out_w = (c.width - 1) / c.stride + 1;
  const int64_t reach = c.dilation * (c.kernel - 1) / 2;
  const SparseLanes source{c.height, c.width, reach, c.bands}, target{out_h, out_w, c.ring, c.bands}, added_map{out_h, out_w, 2 - c.ring, c.bands};
  ASSERT_EQ(target.sub_height() * c.stride, source.sub_height());
  ASSERT_EQ(target.sub_width() * c.stride, source.sub_width());
  const int64_t taps = c.kernel * c.kernel, depth = c.inputs * taps;
  const std::vector<float> x = normals(size_t(c.inputs * c.height * c.width), 1), weight = sparse_weights(c.outputs, depth, c.zeros, c.fours, 2), bias = normals(size_t(c.outputs), 4),
                           added = normals(size_t(c.outputs * out_h * out_w), 5);
  std::vector<int32_t> offsets;
  for (int64_t i = 0; i < c.inputs; ++i)
    for (int64_t t = 0; t < taps; ++t) offsets.push_back(int32_t(i * source.channel() + (t / c.kernel * c.dilation - pad) * source.row() + (t % c.kernel * c.dilation - pad) * kSparseLanes));
  const int height = c.fours ? 4 : 1;
  std::vector<int32_t> channels;
  for (int32_t o = 0; o + height <= c.outputs; o += height) channels.push_back(o);
  const SparseFloatWeights packed = pack_sparse_float(weight.data(), bias.data(), depth, offsets, c.block * taps, height, channels);
  const std::vector<float> lanes = to_lanes(kernel, x, c.inputs, source), residual = to_lanes(kernel, added, c.outputs, added_map);
  std::vector<float> y(size_t(c.bands * target.band(c.outputs)), NAN);
  SparseFloatJob job{&packed, target.sub_height(), target.sub_width(), c.stride * source.row(), int(c.stride), target.row(), target.channel()};
  job.residual_row = added_map.row();
  job.residual_channel = added_map.channel();
  job.tile_rows = c.rows;
  job.tile_columns = c.columns;
  job.low = 0;
  job.high = 6;
  for (int64_t band = 0; band < c.bands; ++band) {
    job.x = lanes.data() + band * source.band(c.inputs) + source.origin();
    job.residual = residual.data() + band * added_map.band(c.outputs) + added_map.origin();
    job.y = y.data() + band * target.band(c.outputs) + target.origin();
    for (int thread = 0; thread < 2; ++thread) {
      const auto [first, last] = packed.share(thread, 2);
      kernel.run(job, first, last);
    }
  }
  close_maps(kernel, y, c.outputs, target);
  std::vector<float> expected(size_t(c.outputs * out_h * out_w));
  double worst = 0;
  for (int64_t o = 0; o < c.outputs; ++o)
    for (int64_t i = 0; i < out_h; ++i)
      for (int64_t j = 0; j < out_w; ++j) {
        double sum = bias[size_t(o)] + added[size_t((o * out_h + i) * out_w + j)];
        for (int64_t k = 0; k < depth; ++k)
          sum += weight[size_t(o * depth + k)] * Map{c.height, c.width, x.data() + k / taps * c.height * c.width}.at(i * c.stride + k % taps / c.kernel * c.dilation - pad, j * c.stride + k % c.kernel * c.dilation - pad);
        expected[size_t((o * out_h + i) * out_w + j)] = float(std::clamp(sum, 0.0, 6.0));
        worst = std::max(worst, std::abs(std::clamp(sum, 0.0, 6.0) - lane_at(y, target, c.outputs, o, i, j)));
      }
  EXPECT_LT(worst, 2e-5);
  // With its ring the result is what it would be if it had come from plain pixels.
  const std::vector<float> whole = to_lanes(kernel, expected, c.outputs, target);
  double ring = 0;
  const auto inside_of = [&](size_t i) {
    const int64_t place = int64_t(i) % target.band(c.outputs);
    return place < c.outputs * target.channel() &&
           place % target.channel() < (target.sub_height() + 2 * target.ring) * target.row();
  };
  for (size_t i = 0; i < y.size(); ++i) if (inside_of(i)) ring = std::max(ring, std::isnan(y[i]) ? 1e9 : std::abs(double(whole[i]) - y[i]));
  EXPECT_LT(ring, 2e-5);
}

TEST(SparseFloat, ConvolvesLanesLikeItsDefinition) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    for (const int stride : {1, 2})
      for (const int taps : {1, 3})
        for (const auto& [rows, columns] : {std::pair{1, 8}, {2, 4}, {4, 4}, {1, 16}, {1, 1}, {2, 3}})
          for (const int64_t size : {8, 16, 24}) check_case(kernel, {size, size + 8, 9, 6, taps, stride, 0.7, false, rows, columns, size == 16 ? 4 : 9});
  }
}

TEST(SparseFloat, MapsThatDoNotFillTheirLanes) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    for (const int64_t height : {1, 5, 7, 14})
      for (const int64_t width : {4, 9, 30}) check_case(kernel, {height, width, 5, 4, 3, 1, 0.5, false, 2, 8, 5});
  }
}

TEST(SparseFloat, FourOutputsThatShareAPattern) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    for (const int columns : {1, 3, 4, 5, 6, 8})
      for (const int rows : {1, 2, 4}) check_case(kernel, {16, 24, 10, 12, 3, 1, 0.6, true, rows, columns, 3});
  }
}

TEST(SparseFloat, WideAndDilatedKernels) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    for (const int64_t ring : {0, 1, 2}) {
      check_case(kernel, {16, 24, 5, 4, 5, 1, 0.8, false, 2, 3, 2, ring});
      check_case(kernel, {24, 16, 5, 4, 3, 1, 0.6, false, 1, 4, 5, ring, 2});
      check_case(kernel, {32, 24, 3, 4, 7, 2, 0.8, true, 2, 2, 3, ring});
      check_case(kernel, {13, 30, 3, 4, 7, 1, 0.8, false, 2, 8, 3, ring});
    }
  }
}

TEST(SparseFloat, MapsInBands) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    for (const int64_t bands : {2, 3}) {
      check_case(kernel, {24, 16, 5, 4, 3, 1, 0.6, false, 2, 3, 5, 1, 1, bands});
      check_case(kernel, {48, 16, 5, 4, 3, 2, 0.6, false, 2, 3, 5, 1, 1, bands});
      check_case(kernel, {48, 16, 5, 4, 5, 1, 0.6, true, 1, 3, 5, 2, 1, bands});
      check_case(kernel, {9, 15, 5, 4, 3, 1, 0.6, false, 2, 3, 5, 1, 1, bands});
      check_case(kernel, {4, 8, 5, 4, 3, 1, 0.6, false, 2, 3, 5, 0, 1, bands});
    }
  }
}

TEST(SparseFloat, SumsOfOnePlace) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    const int64_t inputs = 301, outputs = 21;
    const std::vector<float> x = normals(size_t(inputs), 1), weight = sparse_weights(outputs, inputs, 0.8, false, 2), bias = normals(size_t(outputs), 3);
    std::vector<int32_t> offsets(static_cast<size_t>(inputs)), channels(static_cast<size_t>(outputs));
    std::iota(offsets.begin(), offsets.end(), 0);
    std::iota(channels.begin(), channels.end(), 0);
    const SparseFloatWeights packed = pack_sparse_float(weight.data(), bias.data(), inputs, offsets, inputs, 1, channels);
    std::vector<float> y(size_t(outputs), 7);
    SparseFloatJob job{&packed};
    job.low = -4;
    job.high = 5;
    job.x = x.data();
    job.y = y.data();
    kernel.dot(job, 0, 9);
    kernel.dot(job, 9, packed.groups());
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = bias[size_t(o)];
      for (int64_t k = 0; k < inputs; ++k) sum += weight[size_t(o * inputs + k)] * x[size_t(k)];
      EXPECT_NEAR(y[size_t(o)], std::clamp(sum, -4.0, 5.0), 1e-5) << kernel.name << " output " << o;
    }
  }
}

TEST(SparseFloat, LayersWithoutAnyWeight) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels())
    if (kernel.supported()) check_case(kernel, {8, 8, 4, 8, 3, 1, 1.0, true, 2, 2, 2});
}

TEST(SparseFloat, TransposesRows) {
  for (const SparseFloatKernel& kernel : sparse_float_kernels()) {
    if (!kernel.supported()) continue;
    const int64_t rows = 35, columns = 50;
    const std::vector<float> x = normals(size_t(rows * (columns + 2)), 1);
    std::vector<float> y(size_t(columns * (rows + 1)));
    kernel.transpose(x.data(), rows, columns, columns + 2, y.data(), rows + 1);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) EXPECT_EQ(y[size_t(c * (rows + 1) + r)], x[size_t(r * (columns + 2) + c)]);
  }
}

}  // namespace
}  // namespace pare
