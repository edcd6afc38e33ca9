// Convolutions whose channels become pixels, against the reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine.h"
#include "engine/winograd.h"
#include "support/networks.h"

namespace pare {
namespace {

bool has_form() { return winograd_products() != nullptr && best_winograd_kernels()[0]->lanes == channel_block(); }

struct Case {
  int64_t channels, groups, block;
  const char* mode;
  bool fits;
  int64_t images = 2;
};

std::vector<LayerReport> check(const Case& one, const std::vector<std::string>& taps = {}) {
  testing::Network n;
  const int64_t inputs = channel_block() * one.groups;
  const ValueId x = n.node("Relu", {n.conv(n.input("x", {one.images, 3, 11, 13}), 3, inputs, 3, 1)});
  const ValueId wide = n.node("Relu", {n.conv(x, inputs, one.channels * one.block * one.block, 3, 1, one.groups)});
  const ValueId large = n.node("DepthToSpace", {wide}, {{"blocksize", one.block}, {"mode", std::string(one.mode)}});
  const Graph graph = n.finish(n.node("Sigmoid", {n.conv(large, one.channels, 24, 3, 1)}));
  const Array input = testing::random_array({one.images, 3, 11, 13}, 8);
  SessionOptions options;
  options.threads = 2;
  options.use_cache = false;
  for (const std::string& tap : taps) options.taps.push_back(tap.empty() ? graph.at(wide).name : tap);
  Session session(graph, {input.dims()}, options);
  const Array found = session.run({input})[0], expected = run_reference(graph, {input})[0];
  for (int64_t i = 0; i < expected.count(); ++i) EXPECT_NEAR(found.values<float>()[size_t(i)], expected.values<float>()[size_t(i)], 1e-4) << one.mode << ' ' << one.groups << ' ' << i;
  return session.layers();
}

int64_t count_op(const std::vector<LayerReport>& layers, const std::string& op) {
  return std::count_if(layers.begin(), layers.end(), [&](const LayerReport& layer) { return layer.op == op; });
}

TEST(SubpixelConv, WritesPixelsWhereTheyBelong) {
  if (!has_form()) GTEST_SKIP() << "without wide vectors there is no such step";
  const int64_t lanes = channel_block();
  for (const Case& one : {Case{lanes, 1, 2, "CRD", true}, Case{2 * lanes, 1, 2, "DCR", true}, Case{lanes, 1, 3, "CRD", true}, Case{4 * lanes, 4, 2, "CRD", true, 1}, Case{4 * lanes, 4, 2, "CRD", false},
                          Case{4 * lanes, 4, 2, "DCR", false}, Case{lanes + 3, 1, 2, "CRD", false}}) {
    const auto layers = check(one);
    EXPECT_EQ(count_op(layers, "Conv+Relu+DepthToSpace"), one.fits) << one.mode << ' ' << one.groups << ' ' << one.channels;
    EXPECT_EQ(count_op(layers, "DepthToSpace"), !one.fits) << one.mode << ' ' << one.groups << ' ' << one.channels;
  }
}

TEST(SubpixelConv, LeavesAPictureThatIsAskedFor) {
  if (!has_form()) GTEST_SKIP() << "without wide vectors there is no such step";
  EXPECT_EQ(count_op(check({channel_block(), 1, 2, "CRD", true}, {""}), "DepthToSpace"), 1);
}

}  // namespace
}  // namespace pare
