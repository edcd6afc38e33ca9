// A depthwise convolution's step against the reference, and as one of a layer's forms.
#include "engine/depthwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "engine/engine.h"
#include "kernels/choose_kernel.h"
#include "support/networks.h"
#include "support/places.h"
#include "support/tuning.h"

namespace pare {
namespace {

// What was remembered of depthwise layers is changed to each form in turn; images in blocks of channels, and with channels innermost.
TEST(DepthwiseStep, IsOneOfALayersForms) {
  if (choose_kernel(float_depthwise_kernels()).lanes < 8) GTEST_SKIP() << "without wide vectors blocks of channels are no vectors";
  if (choose_kernel(float_depthwise_kernels()).lanes != channel_block()) GTEST_SKIP() << "channels lie in wider blocks than this kernel's here: a build for AVX2 on a CPU with AVX-512";
  const testing::TemporaryFolder folder;
  setenv("PARE_CACHE", folder.path().c_str(), 1);
  testing::Network n;
  const auto depthwise = [&](ValueId x, int64_t channels, int64_t kernel, int64_t stride) {
    return n.node("Conv", {x, n.constant({channels, 1, kernel, kernel}, 0.3f), n.constant({channels})},
                  {{"group", channels}, {"pads", std::vector<int64_t>(4, kernel / 2)}, {"strides", std::vector<int64_t>{stride, stride}}});
  };
  ValueId x = n.node("Relu", {n.conv(n.input("x", {2, 24, 17, 15}), 24, 32, 1, 1)});
  const ValueId y = depthwise(x, 32, 3, 1);
  x = n.node("Add", {n.node("Mul", {y, n.node("Sigmoid", {y})}), x});
  const Graph graph = n.finish(n.node("LeakyRelu", {depthwise(x, 32, 5, 2)}));
  const Array input = testing::random_array({2, 24, 17, 15}, 8), expected = run_reference(graph, {input})[0];
  SessionOptions options;
  options.threads = 2;
  Session(graph, {input.dims()}, options);
  std::set<std::string> kernels;
  for (const int choice : {0, 1}) {
    testing::remember(folder.path(), [](const std::string& line) { return line.starts_with("float_conv") && line.find("g32") != std::string::npos; }, choice);
    Session session(graph, {input.dims()}, options);
    const Array found = session.run({input})[0];
    for (int64_t i = 0; i < expected.count(); ++i) ASSERT_NEAR(found.values<float>()[size_t(i)], expected.values<float>()[size_t(i)], 1e-4) << choice;
    for (const LayerReport& layer : session.layers())
      if (layer.macs == 32 * 9 * 2 * 17 * 15) kernels.insert(layer.implementation);
  }
  unsetenv("PARE_CACHE");
  EXPECT_EQ(kernels.size(), 2u);
  EXPECT_TRUE(kernels.count(choose_kernel(float_depthwise_kernels()).name));
}

TEST(DepthwiseStep, ComputesBothLayouts) {
  const FloatDepthwiseKernel& kernel = choose_kernel(float_depthwise_kernels());
  const int64_t lanes = kernel.lanes;
  for (const bool blocked : {true, false}) {
    const int64_t channels = blocked ? lanes + 3 : 2 * lanes, vectors = (channels + lanes - 1) / lanes;
    testing::Network n;
    const ValueId w = n.constant({channels, 1, 3, 4}), b = n.constant({channels});
    const Graph graph = n.finish(n.node("Sigmoid", {n.node("Conv", {n.input("x", {2, channels, 9, 7}), w, b}, {{"group", channels}, {"pads", std::vector<int64_t>{2, 1, 0, 1}}, {"dilations", std::vector<int64_t>{1, 2}}})}));
    const Array input = testing::random_array({2, channels, 9, 7}, 3), expected = run_reference(graph, {input})[0];
    DepthwiseLayer layer;
    layer.weight = graph.constant(w)->array();
    layer.bias = graph.constant(b)->array();
    layer.dilation[1] = 2;
    layer.pad[0] = 2, layer.pad[1] = 1;
    layer.source = {Type::f32, input.dims(), blocked ? Layout::blocked : Layout::channels_last};
    layer.target = {Type::f32, expected.dims(), layer.source.layout};
    layer.last.kind = FloatFunction::sigmoid;
    ASSERT_EQ(depthwise_kernel_for(layer), &kernel);
    const auto place = [&](const Dims& dims, int64_t i, int64_t c, int64_t p) {
      const int64_t pixels = dims[2] * dims[3];
      return size_t(blocked ? ((i * vectors + c / lanes) * pixels + p) * lanes + c % lanes : (i * pixels + p) * channels + c);
    };
    std::vector<float> from(size_t(2 * vectors * lanes * 63)), to(size_t(2 * vectors * lanes * expected.dim(2) * expected.dim(3)), 5.f);
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t p = 0; p < 63; ++p) from[place(input.dims(), i, c, p)] = input.values<float>()[size_t((i * channels + c) * 63 + p)];
    DepthwiseFloatStep step(kernel, layer);
    step.source = 0, step.target = 1;
    std::byte* slots[] = {reinterpret_cast<std::byte*>(from.data()), reinterpret_cast<std::byte*>(to.data())};
    for (int thread = 0; thread < 3; ++thread) step.run(slots, thread, 3);
    const int64_t pixels = expected.dim(2) * expected.dim(3);
    for (int64_t i = 0; i < 2; ++i)
      for (int64_t c = 0; c < vectors * lanes; ++c)
        for (int64_t p = 0; p < pixels; ++p)
          ASSERT_NEAR(to[place(expected.dims(), i, c, p)], c < channels ? expected.values<float>()[size_t((i * channels + c) * pixels + p)] : 0.f, 1e-5) << blocked << ' ' << c;
  }
}

TEST(DepthwiseStep, LeavesOtherLayers) {
  const int64_t lanes = choose_kernel(float_depthwise_kernels()).lanes;
  const auto fits = [&](Dims weight, int64_t channels, Layout layout) {
    DepthwiseLayer layer;
    layer.weight = Array(Type::f32, weight);
    layer.source = {Type::f32, {1, channels, 20, 20}, layout};
    layer.target = {Type::f32, {1, weight[0], 20, 20}, layout};
    return depthwise_kernel_for(layer) != nullptr;
  };
  EXPECT_TRUE(fits({lanes + 1, 1, 3, 3}, lanes + 1, Layout::blocked));
  EXPECT_FALSE(fits({lanes + 1, 1, 3, 3}, lanes + 1, Layout::channels_last));  // the last vector would reach into the next pixel
  EXPECT_FALSE(fits({lanes, 1, 3, 3}, lanes, Layout::plain));
  EXPECT_FALSE(fits({2 * lanes, 1, 3, 3}, lanes, Layout::blocked));            // two outputs a channel
  EXPECT_FALSE(fits({lanes, 2, 3, 3}, 2 * lanes, Layout::blocked));
}

}  // namespace
}  // namespace pare
