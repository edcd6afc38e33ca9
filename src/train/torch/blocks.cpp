#include "train/torch/blocks.h"

#include <algorithm>
#include <set>

#include "engine/front.h"

namespace pare {
namespace {

bool comparable(const Graph& graph, ValueId id, const Graph& target) {
  const ValueId other = target.find(graph.at(id).name);
  return is_float(graph.at(id).type) && other != kNone && target.constant(other) == nullptr;
}

// Walks the nodes in order and knows which values that depend on the learned constants are still to be read.
class Walk {
 public:
  Walk(const Graph& graph, const std::vector<char>& learned)
      : graph_(graph), changed_(learned), last_(graph.values.size(), 0) {
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      for (ValueId id : read_by(graph, graph.nodes[n])) last_[size_t(id)] = n;
    for (ValueId id : graph.outputs) last_[size_t(id)] = graph.nodes.size();
  }
  void pass(size_t n) {
    const std::vector<ValueId> reads = read_by(graph_, graph_.nodes[n]);
    const bool touched = std::any_of(reads.begin(), reads.end(), [&](ValueId id) { return changed_[size_t(id)] != 0; });
    for (ValueId id : graph_.nodes[n].outputs)
      if (touched && id != kNone) {
        changed_[size_t(id)] = 1;
        live_.insert(id);
      }
    std::erase_if(live_, [&](ValueId id) { return last_[size_t(id)] <= n; });
  }
  const std::set<ValueId>& live() const { return live_; }

 private:
  const Graph& graph_;
  std::vector<char> changed_;
  std::vector<size_t> last_;  // the node that reads a value last; outputs of the graph: behind all
  std::set<ValueId> live_;
};

}  // namespace

std::vector<Block> find_blocks(const Graph& graph, const std::vector<char>& learned, const Graph& target) {
  std::vector<Block> blocks;
  Walk walk(graph, learned);
  size_t first = 0;     // of the block that grows
  bool layers = false;  // it holds a learned layer
  Block cut;            // it, ended at the last possible place behind that layer
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const std::vector<ValueId> reads = read_by(graph, graph.nodes[n]);
    const bool layer = std::any_of(reads.begin(), reads.end(), [&](ValueId id) { return learned[size_t(id)] != 0; });
    if (layer && cut.last > 0) {
      blocks.push_back(cut);
      first = cut.last;
      layers = false;
      cut = {};
    }
    layers |= layer;
    walk.pass(n);
    if (layers && walk.live().size() == 1 && comparable(graph, *walk.live().begin(), target))
      cut = {first, n + 1, {*walk.live().begin()}};
  }
  // Behind the last layer everything belongs to its block: what the model answers is what counts.
  if (layers) {
    Block rest{first, graph.nodes.size(), {}};
    for (ValueId id : walk.live())
      if (comparable(graph, id, target)) rest.outputs.push_back(id);
    blocks.push_back(rest.outputs.empty() ? cut : rest);
  }
  std::erase_if(blocks, [](const Block& block) { return block.outputs.empty(); });
  return blocks;
}

}  // namespace pare
