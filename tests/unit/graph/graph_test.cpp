#include "graph/graph.h"

#include <gtest/gtest.h>

#include "graph/simplify.h"

namespace pare {
namespace {

std::vector<std::string> order(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.name);
  return names;
}
using Names = std::vector<std::string>;

TEST(Graph, SortKeepsTheOrderThatIsRight) {
  Graph graph = parse("graph\ninput x\na = Relu(x) \"1\"\nb = Relu(x) \"2\"\nc = Add(b, a) \"3\"\noutput c");
  graph.sort();
  EXPECT_EQ(order(graph), (Names{"1", "2", "3"}));
}

TEST(Graph, SortMovesNodesBehindWhatTheyRead) {
  Graph graph = parse("graph\ninput x\nd = Add(c, a) \"4\"\nc = Add(b, b) \"3\"\nb = Relu(a) \"2\"\na = Relu(x) \"1\"\noutput d");
  EXPECT_THROW(verify(graph), Error);
  graph.sort();
  EXPECT_EQ(order(graph), (Names{"1", "2", "3", "4"}));
  EXPECT_NO_THROW(verify(graph));
}

// Passes and rewrites read attributes long before the operator runs: a wrong kind is found when the file is opened.
TEST(Graph, VerifyChecksTheKindsOfAttributes) {
  for (const char* wrong : {"axis=\"1\"", "axis=[1]", "axis=1.5"}) {
    const Graph graph = parse(std::string("graph\ninput x: float32 2x3\ny = Softmax(x) {") + wrong + "} \"soft\"\noutput y");
    try {
      verify(graph);
      FAIL() << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.where(), "node 'soft' (Softmax)");
      EXPECT_NE(std::string(error.what()).find("expected: integer"), std::string::npos) << error.what();
    }
  }
  EXPECT_NO_THROW(verify(parse("graph\ninput x: float32 2x3\ny = Softmax(x) {axis=1}\noutput y")));
  EXPECT_NO_THROW(verify(parse("graph\ninput x: float32 2x3\ny = Softmax(x) {own=[1], axis=1}\noutput y")));
}

TEST(Graph, SortSeesWhatSubgraphsRead) {
  Graph graph = parse(
      "graph\ninput x\ny = If(x) {then_branch=graph {\nr = If(q) {g=graph {\nouter deep\noutput deep\n}}\nouter q\noutput r\n}} \"if\"\n"
      "deep = Relu(x) \"deep\"\nq = Relu(x) \"q\"\noutput y");
  graph.sort();
  EXPECT_EQ(order(graph).back(), "if");
}

TEST(Graph, SortNamesANodeOfACycle) {
  Graph graph = parse("graph\ninput x\na = Add(x, b) \"one\"\nb = Relu(a) \"two\"\noutput b");
  try {
    graph.sort();
    FAIL() << "a cycle was sorted";
  } catch (const Error& error) {
    EXPECT_NE(error.where().find("one"), std::string::npos) << error.what();
  }
}

TEST(Graph, RemoveUnusedKeepsWhatIsReadSomewhere) {
  Graph graph = parse(
      "graph\ninput x\ninput spare\nconst used: float32 1 [1.0]\nconst unused: float32 1 [1.0]\nconst inner: float32 1 [1.0]\n"
      "a = Add(x, used)\ndead = Relu(a)\ndeader = Relu(dead)\nouter_only = Relu(x)\n"
      "y, spare_result = If(a) {then_branch=graph {\nouter outer_only\nouter inner\nz = Add(outer_only, inner)\noutput z\n}}\noutput y");
  graph.remove_unused();
  EXPECT_EQ(graph.nodes.size(), 3u);
  for (const char* kept : {"x", "spare", "used", "inner", "outer_only", "spare_result"}) EXPECT_NE(graph.find(kept), kNone) << kept;
  for (const char* gone : {"unused", "dead", "deader"}) EXPECT_EQ(graph.find(gone), kNone) << gone;
  EXPECT_NO_THROW(verify(graph));
  const std::string once = print(graph);
  graph.remove_unused();
  EXPECT_EQ(print(graph), once);
}

TEST(Graph, UniqueNamesAndReplacedUses) {
  Graph graph = parse("graph\ninput x\na = Relu(x)\nb = Add(a, a)\noutput a\noutput b");
  EXPECT_EQ(graph.unique_name("fresh"), "fresh");
  EXPECT_EQ(graph.unique_name("a"), "a_1");
  EXPECT_EQ(graph.at(graph.add_constant("a", Array::scalar(1.f))).name, "a_1");
  EXPECT_EQ(graph.unique_name("a"), "a_2");
  graph.replace_uses(graph.find("a"), graph.find("x"));
  EXPECT_EQ(graph.nodes[1].inputs, (std::vector<ValueId>{0, 0}));
  EXPECT_EQ(graph.outputs[0], 0);
  EXPECT_EQ(graph.consumers()[0], (std::vector<int>{0, 1, 1}));
  EXPECT_EQ(graph.producers()[size_t(graph.find("b"))], 1);
}

struct Invalid {
  const char* text;
  const char* problem;
};

TEST(Verify, NamesTheFault) {
  const Invalid faults[] = {
      {"graph\ninput x\na = Relu(b)\nb = Relu(x)\noutput a", "nothing computes before it"},
      {"graph\ninput x\nvalue v\na = Add(x, v)\noutput a", "nothing computes before it"},
      {"graph\ninput x\nvalue y\noutput y", "nothing computes it"},
      {"graph\ninput x\ny = Relu(x, x)\noutput y", "has 2 inputs, the operator takes 1"},
      {"graph\ninput x\ny = Conv(x)\noutput y", "has 1 inputs, the operator takes 2 to 3"},
      {"graph\ninput x\ny = Concat()\noutput y", "has 0 inputs, the operator takes 1 or more"},
      {"graph\ninput x\ny = Conv(x, _)\noutput y", "input 1 is left out"},
      {"graph\ninput x\ny, z = Relu(x)\noutput y", "has 2 outputs"},
      {"graph\ninput x\n= Relu(x)", "has 0 outputs"},
      {"graph\ninput x\noutput _", "left out"},
  };
  for (const Invalid& fault : faults) {
    try {
      verify(parse(fault.text));
      ADD_FAILURE() << "accepted: " << fault.text;
    } catch (const Error& error) {
      EXPECT_NE(error.problem().find(fault.problem), std::string::npos) << fault.text << "\n" << error.what();
    }
  }
}

TEST(Verify, FaultsNoTextCanHold) {
  const Graph good = parse("graph\ninput x\nconst c: float32 1 [1.0]\ny = Add(x, c)\noutput y");
  EXPECT_NO_THROW(verify(good));
  const std::vector<void (*)(Graph&)> breaks = {
      [](Graph& g) { g.nodes[0].inputs[0] = 99; },
      [](Graph& g) { g.nodes[0].inputs[0] = -2; },
      [](Graph& g) { g.nodes[0].outputs[0] = 99; },
      [](Graph& g) { g.inputs[0] = 99; },
      [](Graph& g) { g.inputs[0] = kNone; },
      [](Graph& g) { g.outputs[0] = 99; },
      [](Graph& g) { g.nodes[0].outputs[0] = g.find("c"); },
      [](Graph& g) { g.nodes[0].outputs[0] = g.find("x"); },
      [](Graph& g) { g.values[1].name = "x"; },
      [](Graph& g) { g.nodes.push_back(g.nodes[0]); },
  };
  for (size_t i = 0; i < breaks.size(); ++i) {
    Graph bad = good;
    breaks[i](bad);
    EXPECT_THROW(verify(bad), Error) << "break " << i;
  }
}

TEST(Verify, UnknownOperatorsAndOptionalInputsPass) {
  EXPECT_NO_THROW(verify(parse("graph\ninput x\na, _, b = Magic@my.domain(x, _)\ny = Clip(a, _, b)\noutput y")));
}

TEST(Counts, MacsAndWeights) {
  Graph graph = parse(
      "graph ir 8 opset 13\ninput x: float32 2x4x5x5\nconst w: float32 2x2x1x1 [1.0, 0.0, 2.0, 0.0]\nconst b: float32 2 [1.0, 1.0]\n"
      "const m: float32 2x3 [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]\n"
      "y = Conv(x, w, b) {group=2}\np = GlobalAveragePool(y)\nf = Flatten(p)\nz = MatMul(f, m)\nz2 = MatMul(f, m)\noutput z\noutput z2");
  infer_shapes(graph);
  EXPECT_EQ(count_macs(graph), 2 * 2 * 25 * 2 + 2 * (2 * 3 * 2));
  EXPECT_EQ(count_weights(graph).count, 4 + 6);  // shared ones once, no bias
  EXPECT_EQ(count_weights(graph).nonzero, 2 + 5);
}

TEST(Attributes, WrongKindsAreErrors) {
  const Graph graph = parse("graph\ninput x\ny = Foo(x) {axis=1.0, kernel=[1, 2]} \"n\"\noutput y");
  const Node& node = graph.nodes[0];
  EXPECT_THROW(node.integer("axis", 0), Error);
  EXPECT_THROW(node.text("kernel"), Error);
  EXPECT_EQ(node.integer("absent", 7), 7);
  EXPECT_EQ(node.integers("kernel"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(node.where(), "node 'n' (Foo)");
}

}  // namespace
}  // namespace pare
