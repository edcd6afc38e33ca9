#pragma once
// Gradients with few activations in memory: the graph is run in segments of which only what crosses their borders is
// kept; on the way back each segment is computed once more (Chen et al. 2016, Training Deep Nets with Sublinear Memory
// Cost, section 4.1).
#include <functional>

#include "train/torch/interpreter.h"

namespace pare {

class Segments {
 public:
  // `trained`: the constants that want gradients. Keeps a reference.
  Segments(const Interpreter& interpreter, const std::vector<ValueId>& trained, std::vector<ValueId> wanted);

  // Runs the graph, lets `loss` make one number of the values `wanted`, and adds its gradients to the trained leaves.
  void backward(const std::vector<at::Tensor>& inputs,
                const std::function<at::Tensor(const std::vector<at::Tensor>&)>& loss) const;
  size_t count() const { return starts_.size(); }

 private:
  // Values that a border's right side reads and its left side (or the graph's input) made; in front those with
  // gradients.
  struct Border {
    std::vector<ValueId> passing, with_gradient;
  };
  size_t end_of(size_t segment) const {
    return segment + 1 < starts_.size() ? starts_[segment + 1] : interpreter_.graph().nodes.size();
  }
  std::vector<at::Tensor> enter(size_t segment, const std::vector<at::Tensor>& kept) const;

  const Interpreter& interpreter_;
  std::vector<ValueId> wanted_;
  std::vector<size_t> starts_;   // first node of every segment
  std::vector<Border> borders_;  // in front of every segment
  std::vector<char> keep_;       // by value: crosses a border, or is wanted
};

}  // namespace pare
