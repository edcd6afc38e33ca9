// Graphs whose extents only the data tells: the part that can be planned is, the rest follows node by node.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "graph/op.h"

namespace pare {
namespace {

SessionOptions quick() {
  SessionOptions options;
  options.threads = 1;
  options.tune = options.use_cache = false;
  return options;
}

// A branch chosen by the data gives 1x2x4x4 or 1x4x4x4; `side` follows from nothing of the kind, `sum` does.
constexpr const char* kGraph =
    "graph\ninput x: float32 1x2x4x4\nconst zero: float32 scalar [0.0]\nconst label: float32 2 [3.0, 4.0]\n"
    "mean = ReduceMean(x) {keepdims=0}\nc = Greater(mean, zero)\nside = Relu(x)\n"
    "y = If(c) {then_branch=graph {\nouter x\na = Neg(x)\noutput a\n}, else_branch=graph {\nouter x\nouter side\nb = Concat(x, side) {axis=1}\noutput b\n}}\n"
    "sum = Abs(y)\nafter = Sigmoid(side)\noutput sum\noutput after\noutput label\noutput x";

TEST(Tail, RunsWhatCannotBePlanned) {
  const Graph graph = parse(kGraph);
  Session session(graph, {{1, 2, 4, 4}}, quick());
  std::vector<Dims> seen;
  for (float sign : {1.f, -1.f}) {
    Array x(Type::f32, {1, 2, 4, 4});
    for (float& v : x.mutable_values<float>()) v = sign * float(&v - x.mutable_values<float>().data());
    const auto exact = run_reference(graph, {x}), fast = session.run({x});
    ASSERT_EQ(fast.size(), exact.size());
    for (size_t i = 0; i < fast.size(); ++i) {
      ASSERT_EQ(fast[i].dims(), exact[i].dims());
      for (int64_t k = 0; k < fast[i].count(); ++k) EXPECT_NEAR(fast[i].to_floats()[size_t(k)], exact[i].to_floats()[size_t(k)], 1e-6);
    }
    seen.push_back(fast[0].dims());
  }
  EXPECT_EQ(seen, (std::vector<Dims>{{1, 2, 4, 4}, {1, 4, 4, 4}}));
  int planned = 0;
  for (const LayerReport& layer : session.layers()) planned += layer.output == "after";
  EXPECT_EQ(planned, 1) << "what does not follow from the branch is planned";
  EXPECT_EQ(session.layers().back().note, "extents depend on data: 2 nodes run one by one");
  EXPECT_EQ(session.time_layers({Array(Type::f32, {1, 2, 4, 4})}, 3).size(), session.layers().size());
}

TEST(Tail, TapsComeFromEitherPart) {
  const Graph graph = parse(kGraph);
  SessionOptions options = quick();
  options.taps = {"side", "y"};
  const Array x = Array::of<float>({1, 2, 4, 4}, std::vector<float>(32, -1.f));
  const auto exact = run_reference(graph, {x}, options.taps), fast = Session(graph, {{1, 2, 4, 4}}, options).run({x});
  ASSERT_EQ(fast.size(), 6u);
  for (size_t i = 4; i < 6; ++i) EXPECT_TRUE(fast[i].same_as(exact[i])) << i;
}

TEST(Tail, SubgraphsOfKnownExtentsArePlanned) {
  const Graph graph = parse(
      "graph\ninput c: bool 1\ninput x: float32 2\nz = Relu(x)\nw = Neg(z)\ny = If(c) {then_branch=graph {\nouter z\na = Exp(z)\noutput a\n}, else_branch=graph {\n"
      "outer z\nb = Neg(z)\noutput b\n}}\nsum = Add(y, w)\noutput sum");
  Session session(graph, {{1}, {2}}, quick());
  const std::vector<Array> inputs{Array::of<bool>({1}, {false}), Array::of<float>({2}, {2, -3})};
  EXPECT_EQ(session.run(inputs)[0].to_floats(), (std::vector<float>{-4, 0}));
  for (const LayerReport& layer : session.layers()) EXPECT_EQ(layer.note.find("depend"), std::string::npos);
}

}  // namespace
}  // namespace pare
