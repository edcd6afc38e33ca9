// If, Loop and Scan: what they compute, what is known of it before running, what a damaged one is told. ONNX's own cases
// (./dev onnx-cases) are the second implementation.
#include <gtest/gtest.h>

#include "graph/op.h"
#include "graph/simplify.h"

namespace pare {
namespace {

using Floats = std::vector<float>;

// Doubles x, n times, keeping every value; `bias` is of the graph around, read two graphs deep.
constexpr const char* kLoop =
    "graph\ninput n: int64 scalar\ninput x: float32 2\nconst bias: float32 1 [1.0]\nconst yes: bool scalar [1]\n"
    "last, all = Loop(n, yes, x) {body=graph {\ninput i: int64 scalar\ninput go: bool scalar\ninput v: float32 2\nouter yes\n"
    "stay = Identity(go)\ntwice = Add(v, v)\n"
    "more = If(yes) {then_branch=graph {\nouter twice\nouter bias\na = Add(twice, bias)\noutput a\n}, else_branch=graph {\nouter v\nb = Neg(v)\noutput b\n}}\n"
    "copy = Identity(more)\noutput stay\noutput more\noutput copy\n}}\noutput last\noutput all";

TEST(Control, LoopCarriesAndCollectsAndReadsValuesTwoGraphsOut) {
  Graph graph = parse(kLoop);
  ASSERT_NO_THROW(verify(graph));
  const auto found = evaluate(graph, {Array::scalar<int64_t>(3), Array::of<float>({2}, {0, 1})});
  EXPECT_EQ(found[0].to_floats(), (Floats{7, 15}));
  EXPECT_EQ(found[1].dims(), (Dims{3, 2}));
  EXPECT_EQ(found[1].to_floats(), (Floats{1, 3, 3, 7, 7, 15}));
  const auto none = evaluate(graph, {Array::scalar<int64_t>(0), Array::of<float>({2}, {5, 6})});
  EXPECT_EQ(none[0].to_floats(), (Floats{5, 6}));
  EXPECT_EQ(none[1].count(), 0);
}

TEST(Control, LoopForetellsWhatNoRoundChanges) {
  Graph graph = parse(kLoop);
  infer_shapes(graph);
  EXPECT_EQ(shape_text(*graph.at(graph.outputs[0]).shape), "2");
  EXPECT_EQ(shape_text(*graph.at(graph.outputs[1]).shape), "?x2");
  Graph growing = parse(
      "graph\ninput n: int64 scalar\ninput x: float32 2x3\nr = Loop(n, _, x) {body=graph {\ninput i: int64 scalar\ninput go: bool scalar\n"
      "input v: float32 2x3\nstay = Identity(go)\nw = Concat(v, v) {axis=0}\noutput stay\noutput w\n}}\noutput r");
  infer_shapes(growing);
  ASSERT_TRUE(growing.at(growing.outputs[0]).shape);
  EXPECT_EQ(shape_text(*growing.at(growing.outputs[0]).shape), "?x3");
}

TEST(Control, IfForetellsOnlyWhatBothBranchesShare) {
  const char* text =
      "graph\ninput c: bool scalar\ninput x: float32 2x3\ny = If(c) {then_branch=graph {\nouter x\na = Relu(x)\noutput a\n}, else_branch=graph {\n"
      "outer x\nb = Concat(x, x) {axis=1}\noutput b\n}}\noutput y";
  Graph graph = parse(text);
  infer_shapes(graph);
  EXPECT_EQ(shape_text(*graph.at(graph.outputs[0]).shape), "2x?");
  const Array x = Array::of<float>({2, 3}, {1, -2, 3, -4, 5, -6});
  EXPECT_EQ(evaluate(graph, {Array::of<bool>({}, {true}), x})[0].to_floats(), (Floats{1, 0, 3, 0, 5, 0}));
  EXPECT_EQ(evaluate(graph, {Array::of<bool>({}, {false}), x})[0].dims(), (Dims{2, 6}));
  // What only a branch reads stays: it has a reader, and simplifying takes nothing away from it.
  EXPECT_EQ(graph.consumers()[size_t(graph.find("x"))].size(), 1u);
  Graph with_copy = parse(
      "graph\ninput c: bool scalar\ninput z: float32 2x3\nx = Identity(z)\ny = If(c) {then_branch=graph {\nouter x\na = Relu(x)\noutput a\n}, else_branch=graph {\n"
      "outer x\nb = Neg(x)\noutput b\n}}\noutput y");
  remove_no_ops(with_copy);
  EXPECT_EQ(evaluate(with_copy, {Array::of<bool>({}, {false}), x})[0].to_floats(), (Floats{-1, 2, -3, 4, -5, 6}));
}

TEST(Control, ScanAlongAnotherAxisAndBackwards) {
  Graph graph = parse(
      "graph\ninput s: float32 2\ninput x: float32 2x3\nlast, all = Scan(s, x) {body=graph {\ninput v\ninput e\nw = Add(v, e)\nk = Identity(w)\noutput w\noutput k\n},"
      " num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1], scan_output_axes=[-1], scan_output_directions=[1]}\noutput last\noutput all");
  infer_shapes(graph);
  EXPECT_EQ(shape_text(*graph.at(graph.outputs[1]).shape), "2x3");
  const auto found = evaluate(graph, {Array::of<float>({2}, {0, 0}), Array::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})});
  EXPECT_EQ(found[0].to_floats(), (Floats{6, 15}));
  EXPECT_EQ(found[1].to_floats(), (Floats{6, 5, 3, 15, 11, 6}));
}

TEST(Control, DamagedBodiesAreErrors) {
  const Array one = Array::scalar<int64_t>(1);
  for (const char* text : {"graph\ninput n: int64 scalar\nr = Loop(n, _, n)\noutput r",
                           "graph\ninput n: int64 scalar\nr = Loop(n, _, n) {body=graph {\ninput i\noutput i\n}}\noutput r",
                           "graph\ninput n: int64 scalar\nr = Scan(n, n) {body=graph {\ninput a\ninput b\noutput a\n}, num_scan_inputs=1}\noutput r",
                           "graph\ninput n: int64 scalar\nr = Scan(n, n) {body=graph {\ninput a\ninput b\noutput a\n}, num_scan_inputs=9}\noutput r",
                           "graph\ninput n: int64 scalar\nr = If(n) {then_branch=graph {\nouter nowhere\noutput nowhere\n}, else_branch=graph {\nouter n\noutput n\n}}\noutput r"}) {
    Graph graph = parse(text);
    EXPECT_THROW((infer_shapes(graph), evaluate(graph, std::vector<Array>(graph.inputs.size(), one))), Error) << text;
  }
}

}  // namespace
}  // namespace pare
