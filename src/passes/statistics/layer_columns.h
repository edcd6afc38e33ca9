#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/front.h"
#include "passes/pass.h"
#include "passes/prune_layers.h"
#include "passes/statistics/column_products.h"

namespace pare {

// What the inputs of one layer do together, over all nodes that read its weight. A group: of a grouped convolution.
class LayerColumns {
 public:
  void add(std::shared_ptr<const ColumnProducts> part) { parts_.push_back(std::move(part)); }
  int64_t positions() const;
  std::vector<double> squares(int64_t group) const;        // columns + 1
  std::vector<double> products(int64_t group) const;       // (columns + 1)²
  std::vector<double> moments(int64_t group) const;        // columns²: the products without the constant input's
  std::vector<float> cross_moments(int64_t group) const;
  std::vector<float> cross_products(int64_t group) const;  // of the original's inputs with these; empty: not measured

 private:
  std::vector<std::shared_ptr<const ColumnProducts>> parts_;
};

struct ColumnRequest {
  bool squares_only = false;
  const Graph* original = nullptr;   // measure cross products with this graph's values too; it has the same value ids
  std::string progress;              // what a person is told
  int64_t positions = 256;           // pixels or tokens of a sample that are looked at, at most
};

// Runs the calibration samples through `graph`, as far as these layers need it. Throws Error where it is interrupted.
// Layers that read one value in one way share its products.
std::vector<LayerColumns> measure_columns(const Graph& graph, std::span<const PrunableLayer* const> layers, const ColumnRequest& request, const PassRun& pass);

// The same from values that are at hand, for each sample in the order of read_values(); `original`: null, or the same of
// another graph.
std::vector<ValueId> read_values(const Graph& graph, std::span<const PrunableLayer* const> layers);
std::vector<LayerColumns> columns_of(const Graph& graph, std::span<const PrunableLayer* const> layers, const Front::Arrays& seen, const Front::Arrays* original, int64_t positions,
                                     const PassRun& pass);

// Bytes that measuring these layers takes.
int64_t column_bytes(const Graph& graph, std::span<const PrunableLayer* const> layers, bool squares_only, bool cross);

}  // namespace pare
