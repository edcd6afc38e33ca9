#pragma once
// What training lowers: cross entropy against labels, and the distance to a teacher.
#include <memory>

#include "train/torch/interpreter.h"
#include "train/train.h"

namespace pare {

// The value that holds the classifier's scores before any softmax. Throws Error where the model's first output is none.
ValueId scores_value(const Graph& graph);

struct LossTerms {
  at::Tensor loss;     // what is lowered, one number
  at::Tensor correct;  // how many samples or tokens are right: by their label, without one as the teacher says; else 0
  int64_t count = 0;   // of how many
};

class Loss {
 public:
  virtual ~Loss() = default;
  const std::vector<ValueId>& wanted() const { return wanted_; }  // what the student must compute, the scores first
  // `values`: the student's `wanted`, on this batch, whose inputs are `inputs`.
  virtual LossTerms of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& inputs,
                       const TrainingBatch& batch) const = 0;
  virtual bool judged_by_right() const { return false; }          // else by the loss itself
  virtual std::string text(double right, double loss) const = 0;  // what people are told of held-out samples

 protected:
  std::vector<ValueId> wanted_;
};
// The one that the job asks for. Keeps references to graph and job. The teacher's inputs must be the graph's.
std::unique_ptr<Loss> make_loss(const Graph& graph, const TrainingJob& job);

}  // namespace pare
