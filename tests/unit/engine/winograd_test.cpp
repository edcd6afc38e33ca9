// A convolution's step by Winograd's transforms against the reference.
#include "engine/winograd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "engine/engine.h"
#include "support/networks.h"
#include "support/places.h"
#include "support/tuning.h"

namespace pare {
namespace {

struct Case {
  Dims x;
  int64_t outputs, groups;
  bool blocked;
};

// [N, C, H, W] as the step reads it, channels in blocks of lanes or innermost.
std::vector<float> laid_out(const Array& planes, bool blocked, int64_t lanes) {
  const int64_t n = planes.dim(0), c = planes.dim(1), pixels = planes.dim(2) * planes.dim(3), vectors = (c + lanes - 1) / lanes;
  std::vector<float> out(size_t(n * (blocked ? vectors * lanes : c) * pixels), 0.f);
  const auto from = planes.values<float>();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t p = 0; p < pixels; ++p)
        out[size_t(blocked ? ((i * vectors + k / lanes) * pixels + p) * lanes + k % lanes : (i * pixels + p) * c + k)] = from[size_t((i * c + k) * pixels + p)];
  return out;
}

void check(const WinogradKernel& kernel, const Case& one) {
  testing::Network n;
  const ValueId x = n.input("x", one.x);
  const ValueId w = n.constant({one.outputs, one.x[1] / one.groups, 3, 3}, 0.2f), b = n.constant({one.outputs}), added = n.input("added", {one.x[0], one.outputs, one.x[2], one.x[3]});
  const ValueId sum = n.node("Add", {n.node("Sigmoid", {n.node("Conv", {x, w, b}, {{"pads", std::vector<int64_t>{1, 0, 1, 2}}, {"group", one.groups}})}), added});
  const Graph graph = n.finish(n.node("Relu", {sum}));
  const Array input = testing::random_array(one.x, 3), residual = testing::random_array({one.x[0], one.outputs, one.x[2], one.x[3]}, 5), expected = run_reference(graph, {input, residual})[0];

  WinogradLayer layer;
  layer.weight = graph.constant(w)->array();
  layer.bias = graph.constant(b)->array();
  layer.groups = one.groups;
  layer.pad[0] = 1;
  layer.pad[1] = 0;
  layer.source = {Type::f32, one.x, one.blocked ? Layout::blocked : Layout::channels_last};
  layer.target = {Type::f32, expected.dims(), layer.source.layout};
  layer.first.kind = FloatFunction::sigmoid;
  layer.last.low = 0;
  const auto fitting = winograd_kernels_for(layer);
  ASSERT_NE(std::find(fitting.begin(), fitting.end(), &kernel), fitting.end());
  WinogradStep step(kernel, *winograd_products(), layer);
  step.source = 0;
  step.target = 1;
  step.scratch = 2;
  constexpr int kThreads = 3;
  std::vector<float> from = laid_out(input, one.blocked, kernel.lanes), wanted = laid_out(expected, one.blocked, kernel.lanes), to = laid_out(residual, one.blocked, kernel.lanes);
  step.residual = step.target;  // added to where it lies
  Array scratch(Type::u8, {step.scratch_bytes(kThreads)});
  std::byte* slots[] = {reinterpret_cast<std::byte*>(from.data()), reinterpret_cast<std::byte*>(to.data()), scratch.mutable_bytes()};
  for (int thread = 0; thread < kThreads; ++thread) step.run(slots, thread, kThreads);
  for (size_t i = 0; i < to.size(); ++i) ASSERT_NEAR(to[i], wanted[i], 1e-3) << kernel.name << ' ' << i;
}

TEST(WinogradStep, ComputesAConvolution) {
  if (winograd_products() == nullptr) GTEST_SKIP() << "without wide vectors there is no such step";
  for (const WinogradKernel* kernel : best_winograd_kernels()) {
    const int64_t lanes = kernel->lanes;
    for (const Case& one : {Case{{1, 2 * lanes, 12, 12}, 3 * lanes, 1, true}, Case{{2, lanes + 3, 9, 30}, lanes + 1, 1, true}, Case{{2, 4 * lanes, 7, 7}, 2 * lanes, 2, true},
                            Case{{1, 2 * lanes, 25, 25}, lanes, 1, false}, Case{{2, 2 * lanes, 8, 11}, 4 * lanes, 2, false}})
      check(*kernel, one);
  }
}

// Every form of a layer computes the layer: what was remembered is changed to each of them in turn.
TEST(WinogradStep, IsOneOfALayersForms) {
  if (winograd_products() == nullptr) GTEST_SKIP() << "without wide vectors there is no such step";
  if (best_winograd_kernels()[0]->lanes != channel_block()) GTEST_SKIP() << "channels lie in wider blocks than these kernels' here: a build for AVX2 on a CPU with AVX-512";
  const testing::TemporaryFolder folder;
  setenv("PARE_CACHE", folder.path().c_str(), 1);
  testing::Network n;
  const ValueId x = n.node("Relu", {n.conv(n.input("x", {1, 16, 14, 14}), 16, 32, 1, 1)});
  const Graph graph = n.finish(n.node("LeakyRelu", {n.node("Add", {n.conv(x, 32, 32, 3, 1), x})}));
  const Array input = testing::random_array({1, 16, 14, 14}, 8), expected = run_reference(graph, {input})[0];
  SessionOptions options;
  options.threads = 2;
  Session(graph, {input.dims()}, options);
  for (const WinogradKernel* kernel : best_winograd_kernels()) {
    const auto squares = [](const std::string& line) { return line.starts_with("float_conv") && line.find("x3x3") != std::string::npos; };
    EXPECT_GE(testing::remember_form(folder.path(), squares, kernel->name), 2);  // of both layouts
    Session session(graph, {input.dims()}, options);
    const Array found = session.run({input})[0];
    for (int64_t i = 0; i < expected.count(); ++i) ASSERT_NEAR(found.values<float>()[size_t(i)], expected.values<float>()[size_t(i)], 1e-3) << kernel->name;
    const auto layers = session.layers();
    EXPECT_EQ(std::count_if(layers.begin(), layers.end(), [&](const LayerReport& layer) { return layer.implementation == kernel->name; }), 1) << kernel->name;
  }
  unsetenv("PARE_CACHE");
}

TEST(WinogradStep, LeavesOtherLayers) {
  if (winograd_products() == nullptr) GTEST_SKIP() << "without wide vectors there is no such step";
  const int64_t lanes = best_winograd_kernels()[0]->lanes;
  const auto fitting = [&](Dims weight, int64_t groups, Layout layout) {
    WinogradLayer layer;
    layer.weight = Array(Type::f32, weight);
    layer.groups = groups;
    layer.source = {Type::f32, {1, weight[1] * groups, 20, 20}, layout};
    layer.target = {Type::f32, {1, weight[0], 20, 20}, layout};
    return winograd_kernels_for(layer).size();
  };
  EXPECT_EQ(fitting({2 * lanes, lanes, 3, 3}, 1, Layout::blocked), 2u);
  EXPECT_EQ(fitting({2 * lanes, lanes, 1, 1}, 1, Layout::blocked), 0u);
  EXPECT_EQ(fitting({2 * lanes, lanes, 3, 5}, 1, Layout::blocked), 0u);
  EXPECT_EQ(fitting({2 * lanes, lanes, 3, 3}, 1, Layout::plain), 0u);
  EXPECT_EQ(fitting({2 * lanes, lanes - 1, 3, 3}, 1, Layout::blocked), 0u);      // mostly transforms
  EXPECT_EQ(fitting({2 * lanes + 2, lanes, 3, 3}, 2, Layout::blocked), 0u);      // groups share a block
  EXPECT_EQ(fitting({lanes + 1, lanes, 3, 3}, 1, Layout::channels_last), 0u);    // vectors would reach beyond a pixel
}

}  // namespace
}  // namespace pare
