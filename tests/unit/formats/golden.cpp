#include "golden.h"

#include <sstream>

namespace pare {

Golden split_golden(Graph graph) {
  Golden golden;
  std::vector<char> dead(graph.nodes.size(), 0);
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.op_type != "Golden") continue;
    dead[n] = 1;
    for (ValueId id : node.inputs) {
      auto& list = graph.at(id).name.starts_with("golden_in") ? golden.inputs : golden.outputs;
      list.push_back(graph.at(id).constant->decode());
    }
    std::erase(graph.outputs, node.outputs.at(0));
  }
  graph.remove_nodes(dead);
  graph.opsets.erase("test");
  order_values(graph);
  golden.graph = std::move(graph);
  return golden;
}

namespace {

std::vector<Array> run_if(const Node& node, const std::map<std::string, Array>& known, bool condition) {
  const auto branch = node.get<std::shared_ptr<Graph>>(condition ? "then_branch" : "else_branch", nullptr);
  return run(*branch, {}, known);
}

}  // namespace

std::vector<Array> run(const Graph& graph, const std::vector<Array>& inputs, const std::map<std::string, Array>& around) {
  std::map<std::string, Array> known = around;
  for (const Value& value : graph.values)
    if (value.constant != nullptr) known[value.name] = value.constant->decode();
  for (size_t i = 0; i < inputs.size(); ++i) known[graph.at(graph.inputs.at(i)).name] = inputs[i];
  for (const Node& node : graph.nodes) {
    Forward forward{node, graph.opset(), {}, std::vector<Array>(node.outputs.size())};
    for (ValueId id : node.inputs) forward.inputs.push_back(id == kNone ? Array() : known.at(graph.at(id).name));
    if (node.is("If")) {
      forward.outputs = run_if(node, known, forward.inputs[0].bytes()[0] != std::byte(0));
    } else {
      if (node.op == nullptr || node.op->forward == nullptr) throw Error(node.where(), "has no reference implementation");
      node.op->forward(forward);
    }
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) known[graph.at(node.outputs[i]).name] = forward.outputs[i];
  }
  std::vector<Array> results;
  for (ValueId id : graph.outputs) results.push_back(known.at(graph.at(id).name));
  return results;
}

std::string missing_reference(const Graph& graph) {
  for (const Node& node : graph.nodes)
    if (!node.is("If") && (node.op == nullptr || node.op->forward == nullptr)) return node.op_type;
  return "";
}

void expect_same_results(const Graph& graph, const Golden& golden, double tolerance) {
  const std::vector<Array> results = run(graph, golden.inputs);
  ASSERT_EQ(results.size(), golden.outputs.size());
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_EQ(results[i].type(), golden.outputs[i].type());
    ASSERT_EQ(results[i].dims(), golden.outputs[i].dims());
    const auto actual = results[i].to_floats(), expected = golden.outputs[i].to_floats();
    for (size_t k = 0; k < actual.size(); ++k) ASSERT_NEAR(actual[k], expected[k], tolerance * (1 + std::abs(expected[k]))) << i << " " << k;
  }
}

std::string text_of(Graph graph) {
  graph.producer.clear();
  graph.doc.clear();
  return print(graph);
}

void expect_same_text(const Graph& actual, const Graph& expected) {
  std::istringstream a(text_of(actual)), e(text_of(expected));
  for (std::string left, right; std::getline(e, right);) {
    if (!std::getline(a, left)) left = "(end)";
    ASSERT_EQ(left, right);
  }
  EXPECT_FALSE(a.peek() != EOF) << "more lines than expected";
}

}  // namespace pare
