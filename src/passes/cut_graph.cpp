// Keeps what lies between two cuts: a decoder of an autoencoder, an encoder without its head.
#include <fmt/format.h>

#include <algorithm>

#include "passes/pass.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct CutGraph {
  std::string inputs, outputs;
  static std::vector<Field> fields() {
    return FieldList<CutGraph>()
        .word("inputs", &CutGraph::inputs, {}, "values that are given from outside from now on, | between them; empty: the inputs stay")
        .word("outputs", &CutGraph::outputs, {}, "values that the model answers from now on, | between them; empty: the outputs stay")
        .take();
  }
};

std::vector<ValueId> values_named(const Graph& graph, const std::string& names, const std::vector<ValueId>& otherwise) {
  std::vector<ValueId> ids;
  for (const std::string& name : names_in(names)) {
    const ValueId id = graph.find(name);
    if (id == kNone || graph.constant(id) != nullptr) throw Error("cut-graph", "the model computes no value named '" + name + "'", "pare inspect MODEL --json - names the values");
    ids.push_back(id);
  }
  return ids.empty() ? otherwise : ids;
}

void run(Graph& graph, const CutGraph& options, PassRun& pass) {
  const std::vector<ValueId> inputs = values_named(graph, options.inputs, graph.inputs), outputs = values_named(graph, options.outputs, graph.outputs);
  const size_t nodes = graph.nodes.size();
  std::vector<char> dead(nodes, 0);
  for (size_t n = 0; n < nodes; ++n)
    for (ValueId id : graph.nodes[n].outputs) dead[n] |= std::find(inputs.begin(), inputs.end(), id) != inputs.end();
  graph.remove_nodes(dead);
  graph.inputs = inputs;
  graph.outputs = outputs;
  graph.remove_unused();
  const std::vector<int> producers = graph.producers();
  const auto is_made = [&](ValueId id) { return id == kNone || graph.constant(id) != nullptr || producers[size_t(id)] >= 0 || std::count(graph.inputs.begin(), graph.inputs.end(), id) != 0; };
  for (ValueId id : graph.outputs)
    if (!is_made(id)) throw Error("cut-graph", "output '" + graph.at(id).name + "' is computed by a node whose other results are inputs now", "name it among the inputs too, or cut elsewhere");
  for (const Node& node : graph.nodes)
    for (ValueId id : node.inputs)
      if (!is_made(id))
        throw Error("cut-graph", fmt::format("the outputs also need '{}', which {} reads", graph.at(id).name, node.where()), fmt::format("name it among the inputs: inputs={}|{}", options.inputs, graph.at(id).name));
  pass.changed = int(nodes - graph.nodes.size());
  pass.notes.push_back(fmt::format("{} of {} nodes stay", graph.nodes.size(), nodes));
}

}  // namespace

Pass pass_cut_graph() {
  return declare_pass<CutGraph>("cut-graph", "Keeps only what computes some values from others: a decoder, a network without its head.", "a change of the interface, no method", true, run);
}

}  // namespace pare
