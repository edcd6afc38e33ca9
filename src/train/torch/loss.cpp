#include "train/torch/loss.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

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

namespace {

std::string loss_text(double loss) {
  return fmt::format("loss {:.5g}", loss);
}

// The teacher's scores for the student's rows of scores.
at::Tensor wanted_rows(const at::Tensor& taught, const at::Tensor& scores) {
  const at::Tensor wanted = rows_of(taught, scores.size(0));
  if (wanted.sizes() != scores.sizes())
    throw Error("teacher",
                "tells " + std::to_string(wanted.size(1)) + " classes, the model " + std::to_string(scores.size(1)));
  return wanted;
}

class Teacher {
 public:
  // `asked`: the teacher's values that answer.
  Teacher(const Graph& teacher, std::vector<ValueId> asked, const Graph& student, Weights weights = Weights::decoded)
      : interpreter_(teacher, at::kFloat, weights), asked_(std::move(asked)) {
    if (teacher.inputs.size() != student.inputs.size())
      throw Error("teacher",
                  "takes " + std::to_string(teacher.inputs.size()) + " inputs, the model " +
                      std::to_string(student.inputs.size()),
                  "a teacher reads what its student reads");
  }
  std::vector<at::Tensor> answers(const std::vector<at::Tensor>& inputs) const {
    const at::NoGradGuard guard;
    return interpreter_.run(inputs, asked_);
  }
  // Its first answers, rows as wide as `scores`. What it said of the same contents before it need not compute again.
  at::Tensor rows(const std::vector<at::Tensor>& inputs, const std::vector<int64_t>& contents, const at::Tensor& scores) {
    const auto samples = size_t(scores.size(0)), width = size_t(scores.size(1));
    if (width != width_) forget(width);
    std::vector<int64_t> unknown;
    for (size_t i = 0; i < contents.size(); ++i)
      if (places_.count(contents[i]) == 0) unknown.push_back(int64_t(i));
    const bool full = known_.size() + unknown.size() * width > kMostKnown;
    if (contents.size() != samples || (full && !unknown.empty())) return wanted_rows(answers(inputs)[0], scores);
    if (!unknown.empty()) remember(inputs, contents, unknown, scores);
    const at::Tensor rows = at::empty(scores.sizes(), at::kFloat);
    for (size_t i = 0; i < samples; ++i)
      std::copy_n(known_.data() + places_.at(contents[i]), width, rows.data_ptr<float>() + i * width);
    return rows;
  }

 private:
  static constexpr size_t kMostKnown = size_t(1) << 26;  // floats: a quarter of a gigabyte

  void forget(size_t width) {
    places_.clear();
    known_.clear();
    width_ = width;
  }
  void remember(std::vector<at::Tensor> inputs, const std::vector<int64_t>& contents, const std::vector<int64_t>& unknown,
                const at::Tensor& scores) {
    if (unknown.size() < contents.size())
      for (at::Tensor& input : inputs) input = input.index_select(0, at::tensor(unknown, at::kLong));
    const at::Tensor rows =
        wanted_rows(answers(inputs)[0], scores.narrow(0, 0, int64_t(unknown.size()))).to(at::kFloat).contiguous();
    for (size_t i = 0; i < unknown.size(); ++i) {
      places_[contents[size_t(unknown[i])]] = known_.size();
      const float* row = rows.data_ptr<float>() + i * width_;
      known_.insert(known_.end(), row, row + width_);
    }
  }

  Interpreter interpreter_;
  std::vector<ValueId> asked_;
  std::unordered_map<int64_t, size_t> places_;  // of a sample's row in known_
  std::vector<float> known_;
  size_t width_ = 0;
};

// Of each row's classes from the wanted ones (Kullback and Leibler). Hinton et al. 2015, section 2: softened answers;
// T² keeps their gradients as large as the labels'.
at::Tensor divergence(const at::Tensor& scores, const at::Tensor& wanted, double t) {
  return at::kl_div(at::log_softmax(scores / t, 1), at::log_softmax(wanted / t, 1), at::Reduction::None, true).sum(1) *
         (t * t);
}

// Squared distance over the squares of what is wanted.
at::Tensor distance(const at::Tensor& value, const at::Tensor& wanted) {
  return (value - wanted).square().mean() / wanted.square().mean().clamp_min(1e-12);
}

// Classes against labels, a teacher's answers, or both.
class ClassLoss : public Loss {
 public:
  ClassLoss(const Graph& graph, const TrainingJob& job) : job_(job) {
    wanted_ = {scores_value(graph)};
    if (job.teaching.teacher == nullptr) return;
    Graph teacher = *job.teaching.teacher;
    // What only says its answers does so faster without normalizations.
    if (job.teaching.hints == 0) fold_batch_norms(teacher);
    std::vector<ValueId> asked{scores_value(teacher)};
    if (job.teaching.hints > 0)
      for (const std::string& name : shared_values(graph, teacher)) {
        wanted_.push_back(graph.find(name));
        asked.push_back(teacher.find(name));
      }
    if (job.teaching.hints > 0 && asked.size() == 1)
      throw Error("teacher", "shares no inner value with the model, by name and shape", "leave hints at 0");
    teacher_ = std::make_unique<Teacher>(teacher, std::move(asked), graph);
  }

  LossTerms of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& inputs,
               const TrainingBatch& batch) const override {
    const std::vector<int64_t>& labels = batch.labels;
    const auto samples = int64_t(labels.size());
    const at::Tensor scores = rows_of(values[0], samples);
    const bool labelled = std::all_of(labels.begin(), labels.end(), [](int64_t label) { return label >= 0; });
    if (teacher_ == nullptr) {
      const at::Tensor truth = labels_of(labels, scores.size(1));
      return {at::cross_entropy_loss(scores, truth, {}, 1, -100, job_.options.smoothing),
              (scores.detach().argmax(1) == truth).sum(), samples};
    }
    const bool hints = values.size() > 1;
    const std::vector<at::Tensor> taught = hints ? teacher_->answers(inputs) : std::vector<at::Tensor>();
    const at::Tensor wanted = hints ? wanted_rows(taught[0], scores) : teacher_->rows(inputs, batch.contents, scores);
    at::Tensor loss = divergence(scores, wanted, job_.teaching.temperature).mean();
    const at::Tensor truth = labelled ? labels_of(labels, scores.size(1)) : wanted.argmax(1);
    if (labelled)
      loss = loss * job_.teaching.weight +
             at::cross_entropy_loss(scores, truth, {}, 1, -100, job_.options.smoothing) * (1 - job_.teaching.weight);
    for (size_t i = 1; i < values.size(); ++i)
      loss = loss + distance(values[i], taught[i]) * (job_.teaching.hints / double(values.size() - 1));
    return {loss, (scores.detach().argmax(1) == truth).sum(), samples};
  }
  // Where only the teacher is listened to, the distance from it tells states apart that name as many classes rightly.
  bool judged_by_right() const override { return teacher_ == nullptr || job_.teaching.weight < 1; }
  std::string text(double right, double loss) const override {
    return judged_by_right() ? fmt::format("{:.2f} %", 100 * right) : fmt::format("{:.2f} % ({:.5f} from the teacher)", 100 * right, loss);
  }

 private:
  const TrainingJob& job_;
  std::unique_ptr<Teacher> teacher_;
};

// Mean surprise at the tokens that follow, the divergence from a teacher's expectations there, or both.
class TokenLoss : public Loss {
 public:
  TokenLoss(const Graph& graph, const TrainingJob& job) : job_(job) {
    wanted_ = {scores_value(graph)};
    if (const Graph* teacher = job.teaching.teacher)
      teacher_ = std::make_unique<Teacher>(*teacher, std::vector<ValueId>{scores_value(*teacher)}, graph,
                                           job.only.empty() ? Weights::decoded : Weights::stored);
  }
  LossTerms of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& inputs,
               const TrainingBatch& batch) const override {
    constexpr int64_t kNotAsked = -1;
    const std::vector<int64_t>& labels = batch.labels;
    const at::Tensor scores = rows_of(values[0], int64_t(labels.size()));
    const at::Tensor truth = labels_of(labels, scores.size(1), true);
    const int64_t count = int64_t(labels.size()) - std::count(labels.begin(), labels.end(), kNotAsked);
    if (count == 0) return {scores.sum() * 0, at::zeros({}), 0};  // the mean of none would be no number
    const double taught = teacher_ != nullptr ? job_.teaching.weight : 0;
    at::Tensor loss = at::zeros({});
    if (taught < 1)
      loss = at::cross_entropy_loss(scores, truth, {}, 1, kNotAsked, job_.options.smoothing) * (1 - taught);
    if (taught > 0) {
      const at::Tensor wanted = wanted_rows(teacher_->answers(inputs)[0], scores);
      const at::Tensor rows = divergence(scores, wanted, job_.teaching.temperature);
      loss = loss + (rows * (truth != kNotAsked)).sum() * (taught / double(count));
    }
    return {loss, (scores.detach().argmax(1) == truth).sum(), count};
  }
  std::string text(double, double loss) const override {
    return teacher_ != nullptr ? loss_text(loss) : fmt::format("perplexity {:.3f}", std::exp(loss));
  }

 private:
  const TrainingJob& job_;
  std::unique_ptr<Teacher> teacher_;
};

// What a teacher computes, number by number: pictures, embeddings, whatever the outputs are.
class ValueLoss : public Loss {
 public:
  ValueLoss(const Graph& graph, const TrainingJob& job) {
    const Graph* teacher = job.teaching.teacher;
    if (teacher == nullptr)
      throw Error(job.name, "has nobody to learn values from",
                  "use distil{loss=values}, or finetune with another loss");
    if (teacher->outputs.size() != graph.outputs.size())
      throw Error("teacher", "has " + std::to_string(teacher->outputs.size()) + " outputs, the model " +
                                 std::to_string(graph.outputs.size()));
    teacher_ = std::make_unique<Teacher>(*teacher, teacher->outputs, graph);
    wanted_ = graph.outputs;
  }
  LossTerms of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& inputs,
               const TrainingBatch& batch) const override {
    const std::vector<at::Tensor> taught = teacher_->answers(inputs);
    at::Tensor loss = at::zeros({}, values[0].options());
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].sizes() != taught[i].sizes()) throw Error("teacher", "answers other extents than the model");
      loss = loss + distance(values[i], taught[i]);
    }
    return {loss, at::zeros({}), int64_t(batch.labels.size())};
  }
  std::string text(double, double loss) const override { return loss_text(loss); }

 private:
  std::unique_ptr<Teacher> teacher_;
};

// A model that computes its own loss, as an autoencoder does with what its input must become.
class OutputLoss : public Loss {
 public:
  OutputLoss(const Graph& graph, const TrainingJob& job) {
    if (graph.outputs.empty()) throw Error(job.name, "the model has no output that could be its loss");
    wanted_ = {graph.outputs[0]};
  }
  LossTerms of(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>&,
               const TrainingBatch& batch) const override {
    return {values[0].mean(), at::zeros({}), int64_t(batch.labels.size())};
  }
  std::string text(double, double loss) const override { return loss_text(loss); }
};

template <class L>
std::unique_ptr<Loss> make(const Graph& graph, const TrainingJob& job) {
  return std::make_unique<L>(graph, job);
}
constexpr struct {
  std::string_view name;
  bool tokens;  // of data whose tokens have labels
  std::unique_ptr<Loss> (*make)(const Graph&, const TrainingJob&);
} kLosses[] = {{"classes", false, make<ClassLoss>},
               {"classes", true, make<TokenLoss>},
               {"values", false, make<ValueLoss>},
               {"output", false, make<OutputLoss>}};

}  // namespace

std::unique_ptr<Loss> make_loss(const Graph& graph, const TrainingJob& job) {
  const bool tokens = job.data != nullptr && job.data->tokens;
  for (const auto& row : kLosses)
    if (row.name == job.options.loss && row.tokens == tokens) return row.make(graph, job);
  throw Error(job.name, "knows no loss '" + job.options.loss + "'" + (tokens ? " of tokens" : ""));
}

}  // namespace pare
