// Every mapped operator: gradients against central differences in double precision, results against the reference forward.
#include <gtest/gtest.h>

#include <set>

#include "base/random.h"
#include "engine/engine.h"
#include "train/torch/arrays.h"
#include "train/torch/interpreter.h"

namespace pare {
namespace {

using Ints = std::vector<int64_t>;

// One node; float inputs are varied, whole-number ones are constants.
struct OpCase {
  std::string op;
  std::vector<Dims> floats;                           // extents of the float inputs, in front
  std::map<std::string, Attribute> attributes = {};
  std::vector<std::pair<size_t, Array>> constants = {};  // further inputs, by position
  double low = -2, high = 2;                          // of the float inputs' elements
  int64_t opset = 18;
  size_t outputs = 1;
};

std::vector<OpCase> layer_cases() {
  const std::map<std::string, Attribute> shift{{"pads", Ints{1, 0, 2, 1}}, {"strides", Ints{2, 1}}};
  return {
      {"Conv", {{2, 4, 5, 6}, {6, 2, 3, 2}, {6}}, {{"group", int64_t(2)}, {"pads", Ints{1, 0, 2, 1}}, {"strides", Ints{2, 1}}}},
      {"Conv", {{1, 2, 7, 7}, {3, 2, 3, 3}}, {{"auto_pad", std::string("SAME_LOWER")}, {"strides", Ints{2, 2}}}},
      {"Conv", {{1, 2, 9}, {2, 2, 3}}, {{"dilations", Ints{2}}, {"pads", Ints{2, 2}}}},
      {"ConvTranspose", {{1, 4, 3, 3}, {4, 2, 3, 3}, {4}}, {{"group", int64_t(2)}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"output_padding", Ints{1, 1}}}},
      {"Gemm", {{3, 4}, {5, 4}, {5}}, {{"transB", int64_t(1)}, {"alpha", 0.5f}, {"beta", 2.f}}},
      {"Gemm", {{4, 3}, {4, 5}}, {{"transA", int64_t(1)}}},
      {"MatMul", {{2, 3, 4}, {4, 5}}},
      {"Einsum", {{2, 3, 4}, {2, 4, 5}}, {{"equation", std::string("bij,bjk->bik")}}},
      {"BatchNormalization", {{2, 3, 4, 4}, {3}, {3}}, {}, {{3, Array::of<float>({3}, {0.1f, -0.4f, 1})}, {4, Array::of<float>({3}, {0.5f, 1, 2})}}},
      {"LayerNormalization", {{2, 3, 4}, {4}, {4}}},
      {"InstanceNormalization", {{2, 3, 4, 4}, {3}, {3}}},
      {"GroupNormalization", {{2, 4, 3, 3}, {2}, {2}}, {{"num_groups", int64_t(2)}}},
      {"GroupNormalization", {{2, 4, 3, 3}, {4}, {4}}, {{"num_groups", int64_t(2)}}, {}, -2, 2, 21},
      {"RMSNormalization", {{2, 3, 4}, {4}}, {}, {}, -2, 2, 23},
      {"Softmax", {{2, 3, 4}}, {{"axis", int64_t(1)}}},
      {"LogSoftmax", {{2, 5}}},
  };
}

std::vector<OpCase> attention_cases() {
  const std::map<std::string, Attribute> grouped{{"q_num_heads", int64_t(4)}, {"kv_num_heads", int64_t(2)}, {"is_causal", int64_t(1)}};
  auto windowed = grouped, capped = grouped;
  windowed["left_window_size"] = int64_t(1);
  capped["softcap"] = 1.5f;
  capped["scale"] = 0.7f;
  capped["is_causal"] = int64_t(0);
  Array mask(Type::boolean, {3, 3});
  for (size_t i = 0; i < 9; ++i) mask.mutable_values<bool>()[i] = i % 4 == 0 || i == 3;
  const std::map<std::string, Attribute> heads{{"num_heads", int64_t(2)}};
  auto neighbours = heads, partly = heads;
  neighbours["interleaved"] = int64_t(1);
  partly["rotary_embedding_dim"] = int64_t(2);
  return {
      {"Attention", {{2, 3, 8}, {2, 3, 4}, {2, 3, 6}}, grouped, {}, -2, 2, 23},
      {"Attention", {{1, 3, 8}, {1, 4, 4}, {1, 4, 4}}, windowed, {}, -2, 2, 24},
      {"Attention", {{1, 2, 8}, {1, 4, 4}, {1, 4, 4}, {2, 4}}, capped, {}, -2, 2, 23},
      {"Attention", {{1, 4, 3, 2}, {1, 2, 3, 2}, {1, 2, 3, 2}}, {}, {{3, Array(mask)}}, -2, 2, 23},
      {"RotaryEmbedding", {{2, 3, 8}, {2, 3, 2}, {2, 3, 2}}, heads, {}, -2, 2, 23},
      {"RotaryEmbedding", {{2, 3, 8}, {2, 3, 2}, {2, 3, 2}}, neighbours, {}, -2, 2, 23},
      {"RotaryEmbedding", {{1, 2, 3, 4}, {5, 1}, {5, 1}}, partly, {{3, Array::of<int64_t>({1, 3}, {4, 0, 2})}}, -2, 2, 23},
  };
}

std::vector<OpCase> pool_cases() {
  const Array axes = Array::of<int64_t>({1}, {1}), both = Array::of<int64_t>({2}, {-1, 0});
  std::vector<OpCase> cases{
      {"MaxPool", {{1, 2, 6, 6}}, {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}},
      {"MaxPool", {{1, 2, 6, 7}}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"ceil_mode", int64_t(1)}}},
      {"MaxPool", {{1, 2, 9}}, {{"kernel_shape", Ints{3}}, {"pads", Ints{0, 2}}}},
      {"AveragePool", {{1, 2, 6, 6}}, {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}}},
      {"AveragePool", {{1, 2, 6, 6}}, {{"kernel_shape", Ints{3, 2}}, {"pads", Ints{0, 1, 2, 0}}}},
      {"AveragePool", {{1, 2, 6, 6}}, {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}, {"count_include_pad", int64_t(1)}}},
      {"AveragePool", {{1, 2, 8}}, {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}},
      {"GlobalAveragePool", {{2, 3, 4, 5}}},
      {"GlobalMaxPool", {{2, 3, 4, 5}}},
  };
  for (const char* op : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"}) {
    cases.push_back({op, {{2, 3, 4}}, {{"keepdims", int64_t(0)}}, {{1, axes}}});
    cases.push_back({op, {{2, 3, 4}}, {}, {{1, both}}});
  }
  cases.push_back({"ReduceSum", {{2, 3, 4}}, {}, {{1, axes}}});
  cases.push_back({"ReduceSum", {{2, 3, 4}}, {{"keepdims", int64_t(0)}}});
  return cases;
}

std::vector<OpCase> elementwise_cases() {
  std::vector<OpCase> cases;
  for (const char* op : {"Add", "Sub", "Mul", "Min", "Max", "Sum", "Mean"}) cases.push_back({op, {{2, 3, 4}, {3, 1}}});
  for (const char* op : {"Div", "Pow"}) cases.push_back({op, {{2, 3}, {2, 3}}, {}, {}, 0.5, 2});
  cases.push_back({"PRelu", {{2, 3, 4}, {3, 1}}});
  cases.push_back({"Clip", {{3, 5}}, {}, {{1, Array::scalar(-1.f)}, {2, Array::scalar(1.f)}}});
  cases.push_back({"Cast", {{3, 5}}, {{"to", int64_t(1)}}});
  cases.push_back({"Gelu", {{3, 5}}, {{"approximate", std::string("tanh")}}, {}, -2, 2, 20});
  cases.push_back({"Gelu", {{3, 5}}, {}, {}, -2, 2, 20});
  cases.push_back({"Swish", {{3, 5}}, {{"alpha", 1.5f}}, {}, -2, 2, 24});
  for (const char* op : {"Log", "Sqrt", "Reciprocal"}) cases.push_back({op, {{3, 5}}, {}, {}, 0.5, 2});
  for (const char* op : {"Relu", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Elu", "Celu", "Selu", "Mish", "Softplus", "Softsign", "ThresholdedRelu", "Exp",
                         "Neg", "Abs", "Erf", "Sin", "Cos", "Tanh", "Atan", "Sinh", "Cosh", "Identity", "Dropout"})
    cases.push_back({op, {{3, 5}}});
  cases.push_back({"Tan", {{3, 5}}, {}, {}, -1, 1});
  return cases;
}

std::vector<OpCase> move_cases() {
  const auto ints = [](Ints values) { return Array::of<int64_t>({int64_t(values.size())}, values); };
  return {
      {"Reshape", {{2, 3, 4}}, {}, {{1, ints({0, -1})}}},
      {"Flatten", {{2, 3, 4}}, {{"axis", int64_t(2)}}},
      {"Squeeze", {{2, 1, 4}}, {}, {{1, ints({1})}}},
      {"Unsqueeze", {{2, 3}}, {}, {{1, ints({-1, 0})}}},
      {"Expand", {{3, 1}}, {}, {{1, ints({2, 1, 4})}}},
      {"Tile", {{2, 3}}, {}, {{1, ints({2, 2})}}},
      {"Transpose", {{2, 3, 4}}, {{"perm", Ints{2, 0, 1}}}},
      {"Transpose", {{2, 3, 4}}},
      {"Concat", {{2, 3}, {2, 4}}, {{"axis", int64_t(-1)}}},
      {"Split", {{2, 6}}, {{"axis", int64_t(1)}}, {{1, ints({2, 4})}}, -2, 2, 18, 2},
      {"Split", {{2, 5}}, {{"axis", int64_t(1)}, {"num_outputs", int64_t(2)}}, {}, -2, 2, 18, 2},
      {"Slice", {{4, 7}}, {}, {{1, ints({1, -2})}, {2, ints({4, -9})}, {3, ints({0, 1})}, {4, ints({2, -2})}}},
      {"Slice", {{4, 7}}, {}, {{1, ints({1})}, {2, ints({1000})}}},
      {"Pad", {{2, 4}}, {}, {{1, ints({1, 0, 0, 2})}}},
      {"Pad", {{2, 4}}, {{"mode", std::string("reflect")}}, {{1, ints({0, 2, 1, 3})}}},
      {"Pad", {{2, 4}}, {{"mode", std::string("edge")}}, {{1, ints({1, 2, 0, 1})}}},
      {"Gather", {{4, 3}}, {{"axis", int64_t(0)}}, {{1, Array::of<int64_t>({2, 2}, {0, -1, 2, 0})}}},
      {"GatherElements", {{2, 3}}, {{"axis", int64_t(1)}}, {{1, Array::of<int64_t>({2, 2}, {0, -1, 2, 2})}}},
      {"DepthToSpace", {{1, 8, 2, 3}}, {{"blocksize", int64_t(2)}}},
      {"DepthToSpace", {{1, 8, 2, 3}}, {{"blocksize", int64_t(2)}, {"mode", std::string("CRD")}}},
      {"SpaceToDepth", {{1, 2, 4, 6}}, {{"blocksize", int64_t(2)}}},
      {"Resize", {{1, 2, 4, 5}}, {{"mode", std::string("nearest")}, {"coordinate_transformation_mode", std::string("asymmetric")}, {"nearest_mode", std::string("floor")}}, {{2, Array::of<float>({4}, {1, 1, 2, 2})}}},
      {"Resize", {{1, 2, 4, 5}}, {{"mode", std::string("linear")}}, {{3, ints({1, 2, 7, 3})}}},
      {"Resize", {{1, 1, 4, 5}}, {{"mode", std::string("cubic")}}, {{2, Array::of<float>({4}, {1, 1, 2, 1.5})}}},
  };
}

std::vector<OpCase> all_cases() {
  std::vector<OpCase> cases;
  for (const auto& part : {layer_cases(), attention_cases(), pool_cases(), elementwise_cases(), move_cases()}) cases.insert(cases.end(), part.begin(), part.end());
  return cases;
}

Graph graph_of(const OpCase& c) {
  Graph graph;
  graph.opsets[""] = c.opset;
  std::vector<ValueId> inputs;
  for (const Dims& dims : c.floats) {
    graph.inputs.push_back(graph.add_value("x" + std::to_string(inputs.size()), Type::f32, shape_of(dims)));
    inputs.push_back(graph.inputs.back());
  }
  for (const auto& [at, array] : c.constants) {
    while (inputs.size() < at) inputs.push_back(kNone);
    inputs.push_back(graph.add_constant("c", Tensor(array)));
  }
  for (size_t i = 0; i < c.outputs; ++i) graph.outputs.push_back(graph.add_value("y" + std::to_string(i), Type::f32));
  Node& node = graph.add_node(c.op, inputs, graph.outputs);
  node.name = c.op;
  node.attributes = c.attributes;
  infer_shapes(graph);
  verify(graph);
  return graph;
}

class Gradients : public ::testing::TestWithParam<size_t> {};

// Σ r · y for fixed random r: one number whose gradient touches every element.
at::Tensor projected(const Interpreter& interpreter, const std::vector<at::Tensor>& inputs) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  Random random(3);
  for (const at::Tensor& y : interpreter.run(inputs, interpreter.graph().outputs)) {
    const at::Tensor weights = at::empty(y.sizes(), at::kDouble);
    for (int64_t i = 0; i < weights.numel(); ++i) weights.data_ptr<double>()[i] = random.normal();
    sum = sum + (weights * y).sum();
  }
  return sum;
}

std::vector<at::Tensor> random_inputs_of(const OpCase& c) {
  std::vector<at::Tensor> inputs;
  Random random(11);
  for (const Dims& dims : c.floats) {
    const at::Tensor x = at::empty(dims, at::kDouble);
    // Apart from each other and from the kinks of activations by more than the step of the differences.
    for (int64_t i = 0; i < x.numel(); ++i) x.data_ptr<double>()[i] = c.low + (c.high - c.low) * (random.uniform() * 0.9 + 0.0501);
    inputs.push_back(x);
  }
  return inputs;
}

TEST_P(Gradients, FollowCentralDifferences) {
  const OpCase c = all_cases()[GetParam()];
  const Graph graph = graph_of(c);
  const Interpreter interpreter(graph, at::kDouble);
  std::vector<at::Tensor> inputs = random_inputs_of(c);
  std::vector<Array> arrays;
  for (const at::Tensor& x : inputs) arrays.push_back(array_of(x, Type::f32));
  const std::vector<Array> expected = run_reference(graph, arrays);
  const std::vector<at::Tensor> found = interpreter.run(inputs, graph.outputs);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(expected[i].dims(), found[i].sizes().vec()) << c.op;
    EXPECT_LT(at::abs(found[i] - tensor_of(expected[i], at::kDouble)).max().item<double>(), 2e-5) << c.op;
  }
  for (at::Tensor& x : inputs) x.requires_grad_(true);
  projected(interpreter, inputs).backward();
  const at::NoGradGuard guard;
  constexpr double step = 1e-6;
  for (size_t k = 0; k < inputs.size(); ++k) {
    ASSERT_TRUE(inputs[k].grad().defined()) << c.op << ", input " << k;
    const at::Tensor gradient = inputs[k].grad().contiguous();
    double* x = inputs[k].data_ptr<double>();
    for (int64_t i = 0; i < inputs[k].numel(); ++i) {
      const double at = x[i];
      x[i] = at + step;
      const double above = projected(interpreter, inputs).item<double>();
      x[i] = at - step;
      const double below = projected(interpreter, inputs).item<double>();
      x[i] = at;
      EXPECT_NEAR(gradient.data_ptr<double>()[i], (above - below) / (2 * step), 1e-5 * std::max(1.0, std::abs(above))) << c.op << ", input " << k << ", element " << i;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(EveryOperator, Gradients, ::testing::Range<size_t>(0, all_cases().size()),
                         [](const auto& which) { return all_cases()[which.param].op + std::to_string(which.param); });

TEST(Mappings, EveryRowHasACase) {
  // Shape's result, a condition and noise have no gradient; quantizers' is no derivative of what they compute (tested below).
  std::set<std::string> tested{"Shape", "Where", "RandomNormalLike", "QuantizeLinear", "DequantizeLinear"};
  for (const OpCase& c : all_cases()) tested.insert(c.op);
  for (std::string_view name : mapped_operators()) EXPECT_TRUE(tested.count(std::string(name))) << name;
}

TEST(Mappings, WherePassesGradientsToTheSideItTook) {
  Graph graph;
  graph.opsets[""] = 18;
  for (const char* name : {"a", "b"}) graph.inputs.push_back(graph.add_value(name, Type::f32, shape_of({2})));
  Array condition(Type::boolean, {2});
  condition.mutable_values<bool>()[0] = true;
  graph.outputs.push_back(graph.add_value("y", Type::f32));
  graph.add_node("Where", {graph.add_constant("c", Tensor(condition)), graph.inputs[0], graph.inputs[1]}, graph.outputs);
  infer_shapes(graph);
  std::vector<at::Tensor> inputs{at::ones({2}, at::kDouble).requires_grad_(true), at::ones({2}, at::kDouble).requires_grad_(true)};
  Interpreter(graph, at::kDouble).run(inputs, graph.outputs)[0].sum().backward();
  EXPECT_EQ(inputs[0].grad()[0].item<double>(), 1);
  EXPECT_EQ(inputs[0].grad()[1].item<double>(), 0);
  EXPECT_EQ(inputs[1].grad()[1].item<double>(), 1);
}

TEST(Mappings, NoiseFollowsTheSeedAndPassesNoGradient) {
  Graph graph;
  graph.opsets[""] = 18;
  graph.inputs.push_back(graph.add_value("x", Type::f32, shape_of({4000})));
  graph.outputs.push_back(graph.add_value("y", Type::f32, shape_of({4000})));
  graph.add_node("RandomNormalLike", {graph.inputs[0]}, graph.outputs).attributes = {{"mean", 3.f}, {"scale", 2.f}};
  const Interpreter interpreter(graph);
  const at::Tensor x = at::zeros({4000}).requires_grad_(true);
  const auto drawn = [&](uint64_t seed) {
    at::manual_seed(seed);
    return interpreter.run({x}, graph.outputs)[0];
  };
  const at::Tensor y = drawn(5);
  EXPECT_FALSE(y.requires_grad());
  EXPECT_NEAR(y.mean().item<double>(), 3, 0.15);
  EXPECT_NEAR(y.std().item<double>(), 2, 0.1);
  EXPECT_TRUE(at::equal(y, drawn(5)));
  EXPECT_FALSE(at::equal(y, drawn(6)));
}

// Esser et al. 2020, equation 3: inside the range round(x/s) − x/s, outside the range's end; straight through for x.
TEST(Mappings, QuantizersGetTheGradientsOfLsq) {
  Graph graph;
  graph.opsets[""] = 21;
  graph.inputs = {graph.add_value("x", Type::f32, shape_of({4})), graph.add_value("s", Type::f32, Shape{})};
  const ValueId zero = graph.add_constant("z", Tensor(Array(Type::i4, {}))), q = graph.add_value("q", Type::i4), y = graph.add_value("y", Type::f32);
  graph.add_node("QuantizeLinear", {graph.inputs[0], graph.inputs[1], zero}, {q});
  graph.add_node("DequantizeLinear", {q, graph.inputs[1], zero}, {y});
  graph.outputs = {y};
  infer_shapes(graph);
  const std::vector<double> x{0.3, -0.9, 5, -6};
  std::vector<at::Tensor> inputs{at::tensor(x, at::kDouble).requires_grad_(true), at::tensor(0.5, at::kDouble).requires_grad_(true)};
  const Interpreter interpreter(graph, at::kDouble);
  const at::Tensor result = interpreter.run(inputs, graph.outputs)[0];
  const std::vector<double> expected{0.5, -1, 3.5, -4}, passes{1, 1, 0, 0}, steps{1 - 0.6, -2 + 1.8, 7, -8};
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += steps[i];
  result.sum().backward();
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(result[int64_t(i)].item<double>(), expected[i], 1e-12);
    EXPECT_EQ(inputs[0].grad()[int64_t(i)].item<double>(), passes[i]) << i;
  }
  EXPECT_NEAR(inputs[1].grad().item<double>(), sum, 1e-12);
}

TEST(Mappings, AnOperatorWithoutGradientIsNamed) {
  Graph graph;
  graph.opsets[""] = 18;
  graph.inputs = {graph.add_value("x", Type::f32, shape_of({3}))};
  graph.outputs = {graph.add_value("y", Type::f32)};
  graph.add_node("Hardmax", graph.inputs, graph.outputs).name = "pick";
  infer_shapes(graph);
  const Interpreter interpreter(graph, at::kDouble);
  EXPECT_EQ(interpreter.run({at::ones({3}, at::kDouble)}, graph.outputs)[0].sum().item<double>(), 1);
  try {
    interpreter.run({at::ones({3}, at::kDouble).requires_grad_(true)}, graph.outputs);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'pick' (Hardmax)"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace pare
