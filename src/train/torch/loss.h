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
  at::Tensor correct;  // how many samples or tokens are right: by their label, without one as the teacher says
  int64_t count = 0;   // of how many
};

class Loss {
 public:
  // Keeps references to graph and job. The teacher's inputs must be the graph's.
  Loss(const Graph& graph, const TrainingJob& job);
  const std::vector<ValueId>& wanted() const { return wanted_; }  // what the student must compute, the scores first
  // `values`: the student's `wanted`, on this batch.
  LossTerms of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& inputs,
               const std::vector<int64_t>& labels) const;

 private:
  LossTerms of_tokens(const at::Tensor& scores, const std::vector<int64_t>& labels) const;

  const TrainingJob& job_;
  std::vector<ValueId> wanted_, asked_;  // of the student, of the teacher
  std::shared_ptr<Interpreter> teacher_;
};

}  // namespace pare
