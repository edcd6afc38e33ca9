#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "formats/format.h"
#include "formats/onnx/onnx.h"
#include "graph/op.h"
#include "support/places.h"

namespace pare {

inline std::string fixture(const std::string& name) {
  return testing::source_dir() + "/tests/golden/onnx/" + name + ".onnx";
}

using testing::TemporaryFolder;

// A fixture of tools/make_onnx_fixtures.py: the model, and the results another implementation gives.
struct Golden {
  Graph graph;
  std::vector<Array> inputs, outputs;
};
// Takes the node test.Golden out of the graph.
Golden split_golden(Graph graph);
inline Golden read_golden(const std::string& name) { return split_golden(read_model(fixture(name))); }

// The graph, node by node with the operators' reference forward; If is run here.
std::vector<Array> run(const Graph& graph, const std::vector<Array>& inputs, const std::map<std::string, Array>& around = {});
// Nodes that run() cannot run, because the operator has no reference yet; empty if it can run all.
std::string missing_reference(const Graph& graph);
void expect_same_results(const Graph& graph, const Golden& golden, double tolerance = 1e-5);

// print() of what must survive a file: all but who wrote it.
std::string text_of(Graph graph);
void expect_same_text(const Graph& actual, const Graph& expected);  // tells the first line that differs

}  // namespace pare
