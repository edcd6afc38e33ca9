#include <gtest/gtest.h>

#include "graph/simplify.h"

namespace pare {
namespace {

Graph read(const std::string& body) {
  Graph graph = parse("graph \"g\" ir 8 opset 20\n" + body);
  infer_shapes(graph);
  return graph;
}

std::string ops(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) text += (text.empty() ? "" : " ") + node.op_type;
  return text;
}

TEST(FuseActivations, EveryWayOfWritingThem) {
  const std::string x = "input x: float32 2x8\n";
  const std::pair<const char*, const char*> cases[] = {
      {"s = Sigmoid(x)\ny = Mul(s, x)\noutput y\n", "Swish"},
      {"n = Neg(x)\ne = Exp(n)\nconst o: float32 scalar [1.0]\nd = Add(e, o)\ny = Div(x, d)\noutput y\n", "Swish"},
      {"const r: float32 scalar [1.4142135]\nd = Div(x, r)\ne = Erf(d)\nconst o: float32 1 [1.0]\na = Add(o, e)\nm = Mul(x, a)\nconst h: float32 scalar [0.5]\ny = Mul(m, h)\noutput y\n", "Gelu"},
      {"const h: float32 scalar [0.5]\nm = Mul(x, h)\nconst r: float32 scalar [0.70710678]\nd = Mul(x, r)\ne = Erf(d)\nconst o: float32 scalar [1.0]\na = Add(e, o)\ny = Mul(m, a)\noutput y\n", "Gelu"},
      {"const three: float32 scalar [3.0]\nconst six: float32 scalar [6.0]\nconst zero: float32 scalar [0.0]\na = Add(x, three)\nc = Clip(a, zero, six)\nm = Mul(x, c)\ny = Div(m, six)\noutput y\n", "HardSwish"},
      {"s = HardSigmoid(x) {alpha=0.16666667, beta=0.5}\ny = Mul(x, s)\noutput y\n", "HardSwish"},
      {"p = Softplus(x)\nt = Tanh(p)\ny = Mul(x, t)\noutput y\n", "Mish"},
  };
  for (const auto& [body, wanted] : cases) {
    Graph graph = read(x + body);
    EXPECT_EQ(fuse_activations(graph), 1) << body;
    EXPECT_EQ(ops(graph), wanted) << body;
  }
}

TEST(FuseActivations, TheTwoFormsOfGeluAreToldApart) {
  Graph graph = read(R"(input x: float32 4
const three: float32 scalar [3.0]
const a: float32 scalar [0.044715]
const b: float32 scalar [0.7978846]
const one: float32 scalar [1.0]
const half: float32 scalar [0.5]
cube = Pow(x, three)
scaled = Mul(cube, a)
sum = Add(x, scaled)
inner = Mul(sum, b)
t = Tanh(inner)
plus = Add(t, one)
m = Mul(x, plus)
y = Mul(m, half)
output y
)");
  EXPECT_EQ(fuse_activations(graph), 1);
  ASSERT_EQ(ops(graph), "Gelu");
  EXPECT_EQ(graph.nodes[0].text("approximate"), "tanh");
}

TEST(FuseActivations, LeavesWhatOnlyLooksLikeThem) {
  for (const char* body : {
           "input z: float32 2x8\ns = Sigmoid(z)\ny = Mul(x, s)\noutput y\n",                                      // another value's gate
           "s = Sigmoid(x)\ny = Mul(x, s)\noutput y\noutput s\n",                                                  // the gate is asked for
           "s = Sigmoid(x)\nt = Tanh(s)\ny = Mul(x, s)\nz = Add(y, t)\noutput z\n",                                // read elsewhere
           "const k: float32 scalar [1.1]\nk2 = Mul(x, k)\ns = Sigmoid(k2)\ny = Mul(x, s)\noutput y\n",            // another slope
           "const k: float32 8 [1.0,1.0,1.0,1.0,1.0,1.0,1.0,2.0]\nm = Mul(x, k)\ns = Sigmoid(m)\ny = Mul(m, s)\noutput y\n"}) {  // m stays outside
    Graph graph = read(std::string("input x: float32 2x8\n") + body);
    const std::string before = ops(graph);
    fuse_activations(graph);
    if (before.find("Mul Sigmoid Mul") == 0 && std::string(body).find("2.0]") != std::string::npos) EXPECT_EQ(ops(graph), "Mul Swish");
    else EXPECT_EQ(ops(graph), before) << body;
  }
  Graph kept = read("input x: float32 2x8\ns = Sigmoid(x)\ny = Mul(x, s)\noutput y\n");
  kept.outputs.push_back(kept.find("s"));
  EXPECT_EQ(fuse_activations(kept), 0);
}

constexpr const char* kNorm = R"(input x: float32 2x3x4
const two: float32 scalar [2.0]
const eps: float32 scalar [0.001]
const g: float32 4 [1.0, 2.0, 3.0, 4.0]
const b: float32 4 [0.5, 0.5, 0.5, 0.25]
const axes: int64 1 [-1]
mean = ReduceMean(x, axes)
d = Sub(x, mean)
p = Pow(d, two)
v = ReduceMean(p, axes)
e = Add(v, eps)
r = Sqrt(e)
n = Div(d, r)
m = Mul(n, g)
y = Add(m, b)
output y
)";

TEST(FuseNorms, LayerNormalization) {
  Graph graph = read(kNorm);
  EXPECT_EQ(fuse_norms(graph), 1);
  ASSERT_EQ(ops(graph), "LayerNormalization");
  EXPECT_FLOAT_EQ(graph.nodes[0].real("epsilon", 0), 0.001f);
  EXPECT_EQ(graph.nodes[0].inputs.size(), 3u);
}

TEST(FuseNorms, WithoutMeanAndWithoutScale) {
  std::string text = kNorm;
  text.replace(text.find("d = Sub(x, mean)"), 16, "d = Relu(x)");
  Graph rms = read(text);
  EXPECT_EQ(fuse_norms(rms), 1);
  EXPECT_EQ(ops(rms), "Relu RMSNormalization Add");
  Graph kept = read(kNorm);
  kept.outputs.push_back(kept.find("v"));
  EXPECT_EQ(fuse_norms(kept), 0);
}

constexpr const char* kAttention = R"(input q: float32 1x2x5x8
input k: float32 1x7x2x8
input v: float32 1x2x7x8
input mask: float32 1x1x1x7
const s: float32 scalar [2.0]
kt = Transpose(k) {perm=[0, 2, 3, 1]}
a = MatMul(q, kt)
b = Div(a, s)
c = Add(b, mask)
p = Softmax(c) {axis=-1}
y = MatMul(p, v)
output y
)";

TEST(FuseAttention, TurnsTheTransposeOfTheKeysAround) {
  Graph graph = read(kAttention);
  EXPECT_EQ(fuse_attention(graph), 1);
  ASSERT_EQ(ops(graph), "Transpose Attention");
  EXPECT_EQ(graph.nodes[0].integers("perm"), (std::vector<int64_t>{0, 2, 1, 3}));
  EXPECT_FLOAT_EQ(graph.nodes[1].real("scale", 0), 0.5f);
  EXPECT_EQ(graph.at(graph.nodes[1].inputs[3]).name, "mask");
}

TEST(FuseAttention, LeavesProbabilitiesThatAreAskedFor) {
  Graph graph = read(std::string(kAttention) + "output p\n");
  EXPECT_EQ(fuse_attention(graph), 0);
}

TEST(FuseAttention, LeavesAMaskThatIsRepeatedOverTheKeys) {
  std::string text = kAttention;
  text.replace(text.find("1x1x1x7"), 7, "1x1x5x1");
  Graph graph = read(text);
  EXPECT_EQ(fuse_attention(graph), 0);
}

}  // namespace
}  // namespace pare
