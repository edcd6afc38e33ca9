// Residual blocks and transformer layers add to a value what they compute from it. Without one, the value goes on as it is:
// the block whose absence the outputs notice least, for the multiplications it takes, goes first.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/engine.h"
#include "engine/output_error.h"
#include "passes/channel_cuts.h"
#include "passes/weights.h"

namespace pare {
namespace {

struct DropLayers {
  double macs = 0.8;
  double samples = 16;
  std::string exclude;
  static std::vector<Field> fields() {
    return FieldList<DropLayers>()
        .number("macs", &DropLayers::macs, 0, 1, "", "share of the multiplications to keep", {"0.9", "0.8", "0.67"})
        .number("samples", &DropLayers::samples, 1, 10000, "", "calibration samples the effect is measured on; fewer where one has 100,000 values")
        .word("exclude", &DropLayers::exclude, {}, "sums that stay: names or operators, separated by |, * for anything")
        .take();
  }
};

// A sum of a value and of what is computed from it.
struct Block {
  ValueId sum = kNone, skip = kNone;
  std::string name;
};

bool depends(const Graph& graph, const std::vector<int>& producers, ValueId value, ValueId on) {
  std::vector<char> seen(graph.values.size(), 0);
  std::vector<ValueId> open{value};
  while (!open.empty()) {
    const ValueId id = open.back();
    open.pop_back();
    if (id == on) return true;
    if (id == kNone || seen[size_t(id)] || producers[size_t(id)] < 0) continue;
    seen[size_t(id)] = 1;
    const Node& node = graph.nodes[size_t(producers[size_t(id)])];
    open.insert(open.end(), node.inputs.begin(), node.inputs.end());
  }
  return false;
}

std::vector<Block> find_blocks(const Graph& graph, const Graph& concrete, const std::string& exclude) {
  const std::vector<int> producers = graph.producers();
  std::vector<Block> blocks;
  for (const Node& node : graph.nodes) {
    if (!node.is("Add") || graph.is_output(node.outputs[0]) || (!exclude.empty() && name_matches(exclude, node))) continue;
    for (size_t i = 0; i < 2; ++i) {
      const ValueId skip = node.inputs[i], branch = node.inputs[1 - i];
      if (skip == branch || graph.constant(skip) != nullptr || graph.constant(branch) != nullptr) continue;
      const auto &a = concrete.at(skip).shape, &b = concrete.at(branch).shape;
      if (!a || !b || *a != *b || !depends(graph, producers, branch, skip)) continue;
      blocks.push_back({node.outputs[0], skip, node.name.empty() ? graph.at(node.outputs[0]).name : node.name});
      break;
    }
  }
  return blocks;
}

void drop(Graph& graph, const std::string& sum, const std::string& skip) {
  graph.replace_uses(graph.find(sum), graph.find(skip));
  graph.remove_unused();
}

int64_t macs_of(const Graph& graph, const std::vector<Dims>& inputs) {
  Graph concrete = graph;
  infer_shapes(concrete, inputs);
  return count_macs(concrete);
}

void request(const Graph&, const DropLayers&, Observations&) {}  // it measures itself what it tries

void run(Graph& graph, const DropLayers& options, PassRun& pass) {
  need_samples(pass.samples, "drop-layers");
  const std::vector<Dims> inputs = assumed_inputs(graph, pass);
  const int64_t all = macs_of(graph, inputs);
  const OutputError error(graph, spread_samples(pass.samples, int64_t(options.samples)), all < 500'000'000 ? 1 : 0);
  int64_t left = all;
  while (double(left) > options.macs * double(all)) {
    Graph concrete = graph;
    infer_shapes(concrete, inputs);
    std::optional<Graph> best;
    double least = INFINITY, least_db = 0;
    int64_t best_macs = left;
    std::string best_name;
    const std::vector<Block> blocks = find_blocks(graph, concrete, options.exclude);
    for (size_t i = 0; i < blocks.size(); ++i) {
      if (interrupted()) throw Error("drop-layers", "interrupted while measuring the layers");
      if (pass.progress) pass.progress("drop-layers: without each block", double(i), double(blocks.size()));
      Graph without = graph;
      drop(without, graph.at(blocks[i].sum).name, graph.at(blocks[i].skip).name);
      const int64_t macs = macs_of(without, inputs);
      if (macs >= left) continue;
      const double db = error.sqnr_db(without), noise = std::isinf(db) && db > 0 ? 0 : std::pow(10, -db / 10);
      if (const double price = noise / double(left - macs); price < least) {
        least = price, least_db = db, best_macs = macs, best_name = blocks[i].name;
        best = std::move(without);
      }
    }
    if (!best) {
      pass.notes.push_back("more was asked for than there are blocks to drop");
      break;
    }
    graph = std::move(*best);
    left = best_macs;
    ++pass.changed;
    pass.notes.push_back(fmt::format("dropped what is added at {}: the output is {:.1f} dB above its error, {:.1f} % of the multiplications stay", best_name, least_db,
                                     100 * double(left) / double(std::max<int64_t>(all, 1))));
  }
  if (pass.changed == 0) pass.notes.push_back("no block was dropped: a block is a sum of a value and of what is computed from it");
}

}  // namespace

Pass pass_drop_layers() {
  return declare_pass<DropLayers>("drop-layers", "Drops whole residual blocks and transformer layers, those the outputs miss least. Needs data.",
                                  "Veit et al. 2016, Residual Networks Behave Like Ensembles, section 4.1; Sajjad et al. 2023, section 3", false, run, request);
}

}  // namespace pare
