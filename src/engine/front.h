#pragma once
#include <optional>
#include <vector>

#include "engine/engine.h"

namespace pare {

std::vector<ValueId> read_by(const Graph& graph, const Node& node);   // inside its subgraphs too

// What remains to be run of a graph where values `before` (by id) are known. Whole numbers are computed again, not read:
// extents follow from them, which a session has to know.
struct Rest {
  std::vector<char> done;       // by node
  std::vector<ValueId> reads;   // known values
};
std::vector<char> values_before(const Graph& graph, int node);   // by id: made by the nodes in front of `node`, or given
Rest rest_of(const Graph& graph, const std::vector<char>& before);
Graph part_of(Graph graph, const Rest& rest, const std::vector<ValueId>& outputs);

// Samples on their way through a graph: the values that nodes from one place on read, and no more. Moving on runs only the
// nodes passed, so that a graph may change in front of the samples, its value ids staying.
class Front {
 public:
  using Arrays = std::vector<std::vector<Array>>;   // of each sample
  // `samples`: the graph's inputs by position. `decoded`: encoded weights are run as the floats they stand for, so that what
  // is seen does not depend on how kernels for few bits round activations; only those of the nodes passed take memory.
  Front(Arrays samples, SessionOptions options, bool decoded = false) : samples_(std::move(samples)), session_(std::move(options)), decoded_(decoded) {}
  // To in front of `node`; back to the beginning where that lies behind.
  void move(const Graph& graph, int node);
  // Of each sample; nothing where one is not among those kept.
  std::optional<Arrays> values(const std::vector<ValueId>& wanted) const;
  Arrays compute(const Graph& graph, const std::vector<ValueId>& wanted) const;   // from here on, of each sample
  int64_t bytes() const;        // of the values kept

 private:
  Arrays samples_;
  SessionOptions session_;
  bool decoded_;
  int at_ = -1;                 // -1: not begun
  std::vector<ValueId> ids_;
  Arrays values_;
};

// For a few hundred samples, which do not repay measuring candidates; small layers lose with threads where cores are shared.
SessionOptions options_for_samples(const Graph& graph);

// The graph run on each sample.
Front::Arrays run_samples(const Graph& graph, const Front::Arrays& samples, const SessionOptions& options);

}  // namespace pare
