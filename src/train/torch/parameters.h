#pragma once
// The constants of a graph that training changes, and how they are stored.
#include <ATen/ATen.h>

#include <vector>

#include "train/torch/interpreter.h"
#include "train/train.h"

namespace pare {

// factor: of a low-rank adapter, whose zeros are no pruning; step: the scale of an activation's quantizer
enum class Role { weight, bias, factor, step };

struct Parameter {
  ValueId id = kNone;
  Role role = Role::weight;
  std::string name;            // of the constant
  at::Tensor value;            // leaf: the elements; of a step: the logarithm of its ratio to `start`
  at::Tensor mask;             // 1 where an element may differ from 0; undefined: everywhere
  at::Tensor start;            // of steps and encoded weights: the scales as they were found
  at::Tensor log_step;         // leaf, of encoded weights: logarithm of scale / start
  at::Tensor zero;             // of encoded weights: the zero points; undefined: 0
  double least = 0, most = 0;  // of encoded weights: the range of their integers
  bool encoded() const { return role != Role::step && start.defined(); }
};

// Scales [one | per entry of the tensor's axis | per group along it], shaped to stand beside the elements.
at::Tensor beside(const at::Tensor& scales, const Tensor& tensor);

class Parameters {
 public:
  // Finds what `job.options.freeze` leaves to be trained, and makes the leaves.
  Parameters(const Interpreter& interpreter, const TrainingJob& job);

  std::vector<Parameter> all;
  std::vector<at::Tensor> weights() const;  // leaves of weights and biases
  std::vector<at::Tensor> steps() const;    // leaves of quantizers' steps
  std::vector<ValueId> statistics;  // running means and variances, where batch normalizations follow their batches

  // Puts the parameters, encoded weights rounded, where the interpreter computes with them.
  void place(Interpreter& interpreter) const;
  void take_zeros(const Graph& graph);  // holds at 0 what is 0 there, in weights that are not encoded
  void keep_zeros();                    // after a step of the optimizer
  int64_t masked() const;               // elements held at 0
  // Everything that changes while training, to save and restore: clones / copies back.
  std::vector<at::Tensor> state(const Interpreter& interpreter) const;
  std::vector<at::Tensor> live(const Interpreter& interpreter) const;  // the same, not cloned
  void restore(const std::vector<at::Tensor>& state, Interpreter& interpreter);
  // Into the graph's constants, in the codecs they had. Returns how many were written.
  int write(const Interpreter& interpreter, Graph& graph) const;

 private:
  void add(const Interpreter& interpreter, const Node& node, size_t input, Role role, const TrainingJob& job);
};

}  // namespace pare
