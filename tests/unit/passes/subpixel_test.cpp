// Quantized convolutions in front of DepthToSpace.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/plan.h"
#include "passes/pass.h"
#include "support/networks.h"

namespace pare {
namespace {

struct Case {
  int64_t channels, groups, images;
  const char* mode;
  int ordered;
};

// Integer layers too: whatever the storage of the weight, its rows move with the channels, and the copy behind is of runs.
TEST(SubpixelConv, QuantizedLayersComputeTheirChannelsInOrder) {
  for (const Case& one : {Case{16, 1, 2, "CRD", 1}, Case{32, 4, 1, "CRD", 1}, Case{32, 4, 2, "CRD", 0}, Case{16, 1, 2, "DCR", 0}, Case{3, 1, 2, "CRD", 0}}) {
    testing::Network n;
    const int64_t inputs = 16 * one.groups;
    const ValueId x = n.node("Relu", {n.conv(n.input("x", {one.images, 3, 11, 13}), 3, inputs, 3, 1)});
    const ValueId wide = n.node("Relu", {n.conv(x, inputs, one.channels * 4, 3, 1, one.groups)});
    Graph graph = n.finish(n.conv(n.node("DepthToSpace", {wide}, {{"blocksize", int64_t(2)}, {"mode", std::string(one.mode)}}), one.channels, 24, 3, 1));
    PipelineInputs calibration;
    calibration.calibration = {4, [&](int64_t i) { return std::vector<Array>{testing::random_array({one.images, 3, 11, 13}, uint64_t(i) + 100)}; }};
    run_recipe(graph, "quantize-static", calibration);
    Graph ordered = graph;
    infer_shapes(ordered);
    EXPECT_EQ(order_subpixels(ordered), one.ordered) << one.mode << ' ' << one.groups << ' ' << one.images;
    const Array input = testing::random_array({one.images, 3, 11, 13}, 8);
    SessionOptions options;
    options.use_cache = false;
    Session session(graph, {input.dims()}, options);
    const Array found = session.run({input})[0], expected = run_reference(graph, {input})[0];
    EXPECT_GT(testing::sqnr_db(found, expected), 35) << one.mode << ' ' << one.groups << ' ' << one.images;
  }
}

}  // namespace
}  // namespace pare
