// Operators against a second implementation: tests/golden/ops, made by tools/make_op_goldens.py.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "graph/op.h"
#include "support/places.h"

namespace pare {
namespace {

const std::string kFolder = testing::source_dir() + "/tests/golden/ops/";

struct Case {
  Graph graph;                        // one node; its arrays are taken out of it
  std::vector<Array> given, expected;
};

Array take_array(Graph& graph, const std::string& prefix, ValueId id) {
  const ValueId held = graph.find(prefix + graph.at(id).name);
  EXPECT_NE(held, kNone) << prefix << graph.at(id).name;
  return graph.constant(held)->array();
}

std::vector<Case> cases_of(const std::string& op) {
  const std::string path = kFolder + op + ".txt", text = read_text(path);
  std::vector<Case> cases;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find("\n\ngraph ", start), text.size());
    Case one{parse(std::string_view(text).substr(start, end - start), path), {}, {}};
    for (ValueId id : one.graph.inputs) one.given.push_back(take_array(one.graph, "given ", id));
    for (ValueId id : one.graph.outputs) one.expected.push_back(take_array(one.graph, "expected ", id));
    one.graph.remove_unused();
    cases.push_back(std::move(one));
    start = end == text.size() ? end : end + 2;
  }
  return cases;
}

void expect_close(const Array& found, const Array& expected) {
  ASSERT_EQ(type_text(found.type()), type_text(expected.type()));
  ASSERT_EQ(found.dims(), expected.dims());
  if (is_integer(expected.type()) || expected.type() == Type::boolean) {
    EXPECT_EQ(found.to_integers(), expected.to_integers());
    return;
  }
  const Array a = found.cast(Type::f64), b = expected.cast(Type::f64);
  // The recorded values are rounded to their own type once, ours once: for 16 bits a last place may differ.
  const double relative = expected.type() == Type::f16 ? 0x1p-10 : expected.type() == Type::bf16 ? 0x1p-7 : 1e-5;
  double most = 0;
  for (double v : b.values<double>()) most = std::isfinite(v) ? std::max(most, std::abs(v)) : most;
  for (int64_t i = 0; i < b.count(); ++i) {
    const double x = a.values<double>()[size_t(i)], y = b.values<double>()[size_t(i)];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    // Sums of many terms of both signs cancel: the bound is relative to the element, but not below a tenth of the largest.
    ASSERT_LE(std::abs(x - y), relative * std::max(std::abs(y), 0.1 * most)) << "element " << i << ": " << x << " for " << y;
  }
}

std::vector<Array> run(const Case& one) {
  const Node& node = one.graph.nodes.at(0);
  Forward forward{node, one.graph.opset(), {}, {}};
  for (ValueId id : node.inputs) {
    const auto at = std::find(one.graph.inputs.begin(), one.graph.inputs.end(), id) - one.graph.inputs.begin();
    forward.inputs.push_back(id == kNone ? Array() : one.given.at(size_t(at)));
  }
  forward.outputs.resize(node.outputs.size());
  node.op->forward(forward);
  std::vector<Array> results;
  for (ValueId id : one.graph.outputs)
    for (size_t k = 0; k < node.outputs.size(); ++k)
      if (node.outputs[k] == id) results.push_back(forward.outputs[k]);
  return results;
}

// A golden is a single node without graphs of its own; those that have some are in control_test.cpp.
const std::set<std::string> kWithGraphs = {"If", "Loop", "Scan"};

std::vector<std::string> operators() {
  std::vector<std::string> names;
  for (const Op* op : ops())
    if (!kWithGraphs.count(op->name)) names.push_back(op->name);
  return names;
}

class Golden : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Ops, Golden, ::testing::ValuesIn(operators()), [](const auto& one) { return one.param; });

TEST_P(Golden, ForwardAgrees) {
  for (const Case& one : cases_of(GetParam())) {
    SCOPED_TRACE(one.graph.name);
    std::vector<Array> found;
    ASSERT_NO_THROW(verify(one.graph));
    try {
      found = run(one);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
      continue;
    }
    ASSERT_EQ(found.size(), one.expected.size());
    for (size_t i = 0; i < found.size(); ++i) expect_close(found[i], one.expected[i]);
  }
}

// Types and extents as inferred, where known, are those of the recorded outputs; `exactly`: all are known.
void expect_inferred(const Case& one, const Graph& graph, bool exactly) {
  for (size_t i = 0; i < one.expected.size(); ++i) {
    const Value& value = graph.at(graph.outputs[i]);
    EXPECT_EQ(type_text(value.type), type_text(one.expected[i].type()));
    ASSERT_TRUE(value.shape || !exactly) << "output " << i << " has no shape";
    if (!value.shape) continue;
    const Dims& dims = one.expected[i].dims();
    ASSERT_EQ(value.shape->size(), dims.size()) << shape_text(*value.shape) << " for " << dims_text(dims);
    for (size_t k = 0; k < dims.size(); ++k) {
      const Dim& dim = (*value.shape)[k];
      EXPECT_TRUE(dim.known() ? dim.value == dims[k] : !exactly) << shape_text(*value.shape) << " for " << dims_text(dims);
    }
  }
}

void infer(const Case& one, Graph& graph) {
  for (ValueId id : graph.outputs) graph.at(id).shape.reset();
  try {
    infer_shapes(graph);
  } catch (const Error& error) {
    ADD_FAILURE() << one.graph.name << ": " << error.what();
  }
}

// All inputs but the first become constants, as shapes, axes and pads are in models.
Graph with_constants(const Case& one) {
  Graph graph = one.graph;
  for (size_t i = 1; i < graph.inputs.size(); ++i)
    graph.at(graph.inputs[i]).constant = std::make_shared<const Tensor>(one.given[i]);
  graph.inputs.resize(std::min<size_t>(graph.inputs.size(), 1));
  return graph;
}

TEST_P(Golden, InfersTheShapesOfOutputs) {
  // The extents of these follow from what their first input holds, or from data.
  static const std::set<std::string> open = {"ConstantOfShape", "Range", "NonZero", "Unique", "Compress", "NonMaxSuppression", "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix"};
  const bool exactly = !open.contains(GetParam());
  for (const Case& one : cases_of(GetParam())) {
    SCOPED_TRACE(one.graph.name);
    Graph graph = with_constants(one);
    infer(one, graph);
    expect_inferred(one, graph, exactly);
    Graph bare = one.graph;  // nothing is constant: what is inferred must still be true
    infer(one, bare);
    expect_inferred(one, bare, false);
  }
}

TEST_P(Golden, InfersNothingFalseFromDynamicExtents) {
  for (const Case& one : cases_of(GetParam())) {
    SCOPED_TRACE(one.graph.name);
    if (one.graph.inputs.empty()) continue;
    const size_t rank = one.given[0].dims().size();
    for (size_t k = 0; k <= 2 * rank; ++k) {  // one axis unknown, one named, all unknown
      Graph graph = with_constants(one);
      Shape& shape = *graph.at(graph.inputs[0]).shape;
      for (size_t axis = 0; axis < rank; ++axis)
        if (k % (rank + 1) == axis || k == 2 * rank) shape[axis] = {-1, k > rank ? "N" + std::to_string(axis) : ""};
      infer(one, graph);
      expect_inferred(one, graph, false);
    }
    Graph shapeless = with_constants(one);
    shapeless.at(shapeless.inputs[0]).shape.reset();
    infer(one, shapeless);
    expect_inferred(one, shapeless, false);
  }
}

TEST(Goldens, CoverTheCatalogAndNothingElse) {
  std::set<std::string> catalog, files;
  for (const Op* op : ops()) {
    if (!kWithGraphs.count(op->name)) {
      EXPECT_TRUE(catalog.insert(op->name).second) << op->name << " is in the catalog twice";
    }
    EXPECT_FALSE(std::string(op->summary).empty());
    EXPECT_TRUE(op->infer && op->forward) << op->name;
  }
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.path().extension() == ".txt") files.insert(entry.path().stem());
  EXPECT_EQ(catalog, files) << "run tools/make_op_goldens.py";
}

}  // namespace
}  // namespace pare
