#pragma once
// A graph computed by libtorch, node by node, with gradients.
#include <ATen/ATen.h>

#include <map>
#include <vector>

#include "train/torch/mapping.h"

namespace pare {

// Where the elements of constants are: all decoded from the start, or, of matrices, decoded anew by each node that
// reads them and forgotten with what it computed.
enum class Weights { decoded, stored };

// Pictures and their filters with channels innermost: libtorch's layers keep that order, and oneDNN's convolutions need
// no reordering in front of and behind each of them.
at::Tensor channels_last(const at::Tensor& tensor);

class Interpreter {
 public:
  // Keeps a copy of the graph (its constants are shared). `real`: the type of all floats.
  explicit Interpreter(Graph graph, at::ScalarType real = at::kFloat, Weights weights = Weights::decoded);

  const Graph& graph() const { return graph_; }
  at::ScalarType real() const { return real_; }
  // A constant's elements as libtorch holds them; a parameter stands here for as long as it is set.
  at::Tensor constant(ValueId id) const;
  void set(ValueId id, at::Tensor value) { constants_.at(size_t(id)) = std::move(value); }

  // Inputs by position; the values `wanted` (also inputs or constants). `training`: batch normalizations use the
  // batch's statistics and update the stored ones. Throws Error naming the node.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs, const std::vector<ValueId>& wanted,
                              bool training = false) const;
  std::vector<at::Tensor> inputs_of(const std::vector<Array>& arrays) const;

  // The same in parts: what is there before any node has run, by value; then nodes [first, last) one after the other.
  // Values that no later node reads are dropped unless `kept`.
  std::vector<at::Tensor> begin(const std::vector<at::Tensor>& inputs) const;
  void run_part(std::vector<at::Tensor>& values, size_t first, size_t last, const std::vector<char>& kept,
                bool training) const;
  // By node: values that nobody reads after it.
  const std::vector<std::vector<ValueId>>& last_reads() const { return last_; }

 private:
  void compute(const Node& node, Mapping mapping, std::vector<at::Tensor>& values, bool training) const;
  std::vector<at::Tensor> by_reference(const Node& node, const std::vector<at::Tensor>& inputs,
                                       const std::vector<at::Tensor>& values) const;

  Graph graph_;
  at::ScalarType real_;
  std::vector<at::Tensor> constants_;  // by value
  std::vector<Mapping> mappings_;      // by node
  std::vector<std::vector<ValueId>> last_;
};

}  // namespace pare
