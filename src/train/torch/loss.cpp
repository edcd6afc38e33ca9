#include "train/torch/loss.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "graph/simplify.h"

namespace pare {
namespace {

// One row of scores a sample.
at::Tensor rows_of(const at::Tensor& scores, int64_t samples) {
  if (scores.dim() < 1 || samples < 1 || scores.numel() % samples != 0)
    throw Error("model", "its first output is not one row of scores a sample");
  return scores.reshape({samples, -1});
}

// `gaps`: -1 may stand for none.
at::Tensor labels_of(const std::vector<int64_t>& labels, int64_t classes, bool gaps = false) {
  const at::Tensor tensor = at::empty({int64_t(labels.size())}, at::kLong);
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < (gaps ? -1 : 0) || labels[i] >= classes)
      throw Error("training data",
                  "a sample has " + (labels[i] < 0 ? "no label" : "label " + std::to_string(labels[i])) +
                      ", the model tells classes 0 to " + std::to_string(classes - 1),
                  "train on labelled data ([training] in the data description), or use distil, which needs no labels");
    tensor.data_ptr<int64_t>()[i] = labels[i];
  }
  return tensor;
}

// Results of sums and activations that both compute under one name: what a student can be held to inside.
std::vector<std::string> shared_values(const Graph& student, const Graph& teacher) {
  std::vector<std::string> names;
  for (const Node& node : student.nodes) {
    if (!(node.is("Add") || node.is("Relu") || node.is("Clip") || node.is("HardSwish"))) continue;
    const Value& value = student.at(node.outputs[0]);
    const ValueId other = teacher.find(value.name);
    if (other != kNone && value.shape && value.shape == teacher.at(other).shape && value.shape->size() > 1)
      names.push_back(value.name);
  }
  return names;
}

}  // namespace

ValueId scores_value(const Graph& graph) {
  if (graph.outputs.empty()) throw Error("model", "has no output");
  for (const Node& node : graph.nodes)
    if ((node.is("Softmax") || node.is("LogSoftmax")) && node.outputs[0] == graph.outputs[0]) return node.inputs[0];
  return graph.outputs[0];
}

Loss::Loss(const Graph& graph, const TrainingJob& job) : job_(job), wanted_{scores_value(graph)} {
  const Graph* teacher = job.teaching.teacher;
  if (teacher == nullptr) return;
  if (teacher->inputs.size() != graph.inputs.size())
    throw Error(
        "teacher",
        "takes " + std::to_string(teacher->inputs.size()) + " inputs, the model " + std::to_string(graph.inputs.size()),
        "a teacher reads what its student reads");
  asked_ = {scores_value(*teacher)};
  if (job.teaching.hints > 0)
    for (const std::string& name : shared_values(graph, *teacher)) {
      wanted_.push_back(graph.find(name));
      asked_.push_back(teacher->find(name));
    }
  if (job.teaching.hints > 0 && asked_.size() == 1)
    throw Error("teacher", "shares no inner value with the model, by name and shape", "leave hints at 0");
  Graph judged = *teacher;
  if (job.teaching.hints == 0) {  // what only says its answers does so faster without normalizations
    fold_batch_norms(judged);
    asked_ = {scores_value(judged)};
  }
  teacher_ = std::make_shared<Interpreter>(judged);
}

// Mean surprise at the tokens that follow.
LossTerms Loss::of_tokens(const at::Tensor& scores, const std::vector<int64_t>& labels) const {
  constexpr int64_t kNotAsked = -1;
  const at::Tensor truth = labels_of(labels, scores.size(1), true);
  const int64_t count = int64_t(labels.size()) - std::count(labels.begin(), labels.end(), kNotAsked);
  if (count == 0) return {scores.sum() * 0, at::zeros({}), 0};  // the mean of none would be no number
  return {at::cross_entropy_loss(scores, truth, {}, 1, kNotAsked, job_.options.smoothing),
          (scores.detach().argmax(1) == truth).sum(), count};
}

LossTerms Loss::of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& inputs,
                   const std::vector<int64_t>& labels) const {
  const auto samples = int64_t(labels.size());
  const at::Tensor scores = rows_of(values[0], samples);
  const bool labelled = std::all_of(labels.begin(), labels.end(), [](int64_t label) { return label >= 0; });
  if (job_.data != nullptr && job_.data->tokens) return of_tokens(scores, labels);
  if (teacher_ == nullptr) {
    const at::Tensor truth = labels_of(labels, scores.size(1));
    return {at::cross_entropy_loss(scores, truth, {}, 1, -100, job_.options.smoothing),
            (scores.detach().argmax(1) == truth).sum(), samples};
  }
  std::vector<at::Tensor> taught;
  {
    const at::NoGradGuard guard;
    taught = teacher_->run(inputs, asked_);
  }
  const at::Tensor wanted = rows_of(taught[0], samples);
  if (wanted.sizes() != scores.sizes())
    throw Error("teacher",
                "tells " + std::to_string(wanted.size(1)) + " classes, the model " + std::to_string(scores.size(1)));
  // Hinton et al. 2015, section 2: softened answers; T² keeps their gradients as large as the labels'.
  const double t = job_.teaching.temperature;
  at::Tensor loss = at::kl_div(at::log_softmax(scores / t, 1), at::log_softmax(wanted / t, 1), 1, true) *
                    (t * t * double(scores.size(1)));
  const at::Tensor truth = labelled ? labels_of(labels, scores.size(1)) : wanted.argmax(1);
  if (labelled)
    loss = loss * job_.teaching.weight +
           at::cross_entropy_loss(scores, truth, {}, 1, -100, job_.options.smoothing) * (1 - job_.teaching.weight);
  for (size_t i = 1; i < values.size(); ++i)
    loss = loss + (values[i] - taught[i]).square().mean() / taught[i].square().mean().clamp_min(1e-12) *
                      (job_.teaching.hints / double(values.size() - 1));
  return {loss, (scores.detach().argmax(1) == truth).sum(), samples};
}

}  // namespace pare
