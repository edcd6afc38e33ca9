#include <gtest/gtest.h>

#include "graph/graph.h"

namespace pare {
namespace {

std::string shape_at(const Graph& graph, const std::string& name) {
  const ValueId id = graph.find(name);
  if (id == kNone) return "no such value";
  return graph.at(id).shape ? shape_text(*graph.at(id).shape) : "unknown";
}

constexpr const char* kNetwork =
    "graph ir 8 opset 13\n"
    "input x: float32 Nx2xHx8\n"
    "const w: float32 2x2x1x1 [1.0, 0.0, 2.0, 0.0]\n"
    "const axes: int64 1 [0]\nconst batch: int64 scalar [0]\nconst rest: int64 1 [-1]\n"
    "c = Conv(x, w)\n"
    "p = MaxPool(c) {kernel_shape=[2, 2], strides=[2, 2]}\n"
    "s = Shape(p)\ng = Gather(s, batch) {axis=0}\nu = Unsqueeze(g, axes)\nt = Concat(u, rest) {axis=0}\n"
    "f = Reshape(p, t)\n"
    "output f\n";

TEST(Infer, CarriesDynamicExtents) {
  Graph graph = parse(kNetwork);
  infer_shapes(graph);
  EXPECT_EQ(shape_at(graph, "c"), "Nx2x?x8");
  EXPECT_EQ(shape_at(graph, "p"), "Nx2x?x4");
  EXPECT_EQ(shape_at(graph, "s"), "4");
  EXPECT_EQ(shape_at(graph, "f"), "?x?");
  EXPECT_EQ(graph.nodes.size(), 7u);  // nothing about it is constant
}

TEST(Infer, GivenExtentsMakeShapeArithmeticConstant) {
  Graph graph = parse(kNetwork);
  infer_shapes(graph, {{3, 2, 6, 8}});
  EXPECT_EQ(shape_at(graph, "p"), "3x2x3x4");
  EXPECT_EQ(shape_at(graph, "f"), "3x24");
  EXPECT_EQ(graph.nodes.size(), 3u);
  EXPECT_NO_THROW(verify(graph));
}

TEST(Infer, NamedExtentsAreOneEverywhere) {
  Graph graph = parse("graph\ninput a: float32 Nx3\ninput b: float32 NxM\ny = Relu(b)\noutput y");
  infer_shapes(graph, {{5, 3}});
  EXPECT_EQ(shape_at(graph, "y"), "5xM");
}

TEST(Infer, RefusesInputsThatDoNotFit) {
  const Dims wrong[] = {{3, 3, 6, 8}, {3, 2, 6}, {3, 2, 6, 9}};
  for (const Dims& dims : wrong) {
    Graph graph = parse(kNetwork);
    EXPECT_THROW(infer_shapes(graph, {dims}), Error) << dims_text(dims);
  }
}

TEST(Infer, TheFilesWordIsKeptWhereNothingBetterIsKnown) {
  Graph graph = parse("graph\ninput x: float32 Nx4\ninput s: int64 2\ny: float32 8x? = Reshape(x, s)\nu: float32 3 = Magic(x)\noutput y\noutput u");
  infer_shapes(graph);
  EXPECT_EQ(shape_at(graph, "y"), "8x?");
  EXPECT_EQ(shape_at(graph, "u"), "3");
}

TEST(Infer, AConstantOutputKeepsItsNode) {
  Graph graph = parse("graph\ninput x: float32 2x3\ns = Shape(x)\noutput s");
  infer_shapes(graph);
  EXPECT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(graph.constant(graph.find("s")), nullptr);
  EXPECT_NO_THROW(verify(graph));
}

// What folding takes out must not be read by a subgraph as a computed value that nobody computes.
TEST(Infer, SubgraphsStillFindWhatWasFolded) {
  Graph graph = parse("graph\ninput x: float32 2x3\ns = Shape(x)\ny = Fork(x) {g=graph {\nouter s\nr = Relu(s)\noutput r\n}}\noutput y");
  infer_shapes(graph);
  graph.remove_unused();
  EXPECT_NO_THROW(verify(graph));
  EXPECT_NE(graph.find("s"), kNone);
}

struct Misfit {
  const char* node;
};

TEST(Infer, MisfitsAreErrorsThatNameTheNode) {
  const char* misfits[] = {
      "y = Conv(x, v) \"n\"",
      "y = Conv(image, w) {group=3} \"n\"",
      "y = Conv(image, w) {strides=[0, 1]} \"n\"",
      "y = Conv(image, w) {strides=[1]} \"n\"",
      "y = Conv(image, w) {dilations=[-1, 1]} \"n\"",
      "y = Conv(image, w) {group=0} \"n\"",
      "y = MaxPool(image) {kernel_shape=[9, 9]} \"n\"",
      "y = MaxPool(image) \"n\"",
      "y = ConvTranspose(image, w) {strides=[1]} \"n\"",
      "y = MatMul(x, v) \"n\"",
      "y = Gemm(x, v) \"n\"",
      "y = Gemm(image, v) \"n\"",
      "y = Add(x, v) \"n\"",
      "y = Transpose(x) {perm=[0, 0]} \"n\"",
      "y = Transpose(x) {perm=[0, 2]} \"n\"",
      "y = Concat(x, v) {axis=0} \"n\"",
      "y = Concat(x, x) {axis=2} \"n\"",
      "y, z = Split(x) {axis=1, split=[1, 1]} \"n\"",
      "y = Reshape(x, shape) \"n\"",
      "y = Unsqueeze(x, bad_axes) \"n\"",
      "y = Squeeze(x, bad_axes) \"n\"",
      "y = ReduceSum(x, bad_axes) \"n\"",
      "y = Gather(x, shape) {axis=2} \"n\"",
      "y = Softmax(x) {axis=\"one\"} \"n\"",
      "y = Flatten(x) {axis=9} \"n\"",
      "y = Flatten(x) {axis=-9} \"n\"",
      "y = Cast(x) {to=99} \"n\"",
      "y = Resize(x, _, _, shape) {axes=[0]} \"n\"",
      "y = Tile(x, bad_axes) \"n\"",
      "y = Expand(x, shape) \"n\"",
      "y = ArgMax(x) {axis=2} \"n\"",
      "y = Pad(x, shape) \"n\"",
      "y = Slice(x, shape, bad_axes) \"n\"",
      "y = DepthToSpace(image) {blocksize=0} \"n\"",
      "y = DepthToSpace(image) {blocksize=1, pare.groups=0} \"n\"",
      "y = DepthToSpace(image) {blocksize=1, pare.groups=-1} \"n\"",
      "y = DepthToSpace(image) {blocksize=1, pare.groups=3} \"n\"",
  };
  for (const char* misfit : misfits) {
    const std::string text = std::string("graph ir 8 opset 13\ninput x: float32 2x3\ninput v: float32 4x5\ninput image: float32 1x2x4x4\n") +
                             "const w: float32 2x2x1x1 [1.0, 0.0, 2.0, 0.0]\nconst shape: int64 2 [4, 5]\nconst bad_axes: int64 1 [7]\n" + misfit + "\n";
    Graph graph = parse(text);
    try {
      infer_shapes(graph);
      ADD_FAILURE() << "accepted: " << misfit;
    } catch (const Error& error) {
      EXPECT_NE(error.where().find("'n'"), std::string::npos) << misfit << "\n" << error.what();
    }
  }
}

}  // namespace
}  // namespace pare
