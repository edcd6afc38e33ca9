#include "train/torch/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "train/torch/arrays.h"
#include "train/torch/together.h"

namespace pare {

double schedule_factor(const TrainingOptions& options, double t) {
  if (t < options.warmup) return (t + 1e-9) / options.warmup;
  const double rest = options.warmup < 1 ? (t - options.warmup) / (1 - options.warmup) : 1;
  if (options.schedule == "cosine") return 0.5 * (1 + std::cos(std::numbers::pi * rest));
  if (options.schedule == "linear") return 1 - rest;
  if (options.schedule == "step") return rest < 0.5 ? 1 : rest < 0.75 ? 0.1 : 0.01;
  return 1;
}

namespace {

constexpr int64_t kJudgedAtOnce = 250;

// Gradual pruning takes away so many times; `part` of all steps are done.
constexpr int64_t kPrunings = 60;
int64_t prunings_due(const GradualPruning& pruning, double part) {
  return pruning.prune ? int64_t(std::min(part / pruning.until, 1.0) * kPrunings) : kPrunings;
}

// FNV-1a over what makes two runs the same.
int64_t fingerprint(const TrainingJob& job, const std::vector<at::Tensor>& state) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto take = [&](const void* bytes, size_t count) {
    for (size_t i = 0; i < count; ++i) hash = (hash ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3u;
  };
  const TrainingOptions& o = job.options;
  const std::string text = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}", job.name, o.loss, o.epochs, o.rate, o.schedule, o.warmup,
      o.optimizer, o.decay, o.batch, o.average, o.smoothing, o.augment, o.held_out, o.batch_norm, o.freeze, o.step_rate, job.seed,
      job.data->count, job.teaching.temperature, job.teaching.weight, job.teaching.hints, job.pruning.recipe);
  take(text.data(), text.size());
  for (const at::Tensor& tensor : state) take(tensor.data_ptr(), size_t(tensor.nbytes()));
  return int64_t(hash);
}

}  // namespace

Trainer::Trainer(const Graph& graph, const TrainingJob& job)
    : job_(job),
      interpreter_(graph, at::kFloat, job.only.empty() ? Weights::decoded : Weights::stored),
      parameters_(interpreter_, job),
      loss_(make_loss(graph, job)) {
  if (parameters_.all.empty())
    throw Error(job.name, "finds nothing to train",
                "the model has no float or quantized layers that freeze leaves free");
  if (job.data == nullptr || job.data->count < 2)
    throw Error(job.name, "needs training data, none was given",
                "add --data FILE with a [training] or [calibration] part (docs/guide/data.md)");
  split_ = split_samples(*job.data, job.options.held_out, job.seed);
  if (split_.held_out.empty()) split_.held_out = split_.train;
  if (split_.train.empty()) throw Error(job.name, "has no samples left to train on", "lower held-out");
  if (!job.only.empty()) {
    std::vector<ValueId> trained;
    for (const Parameter& p : parameters_.all) trained.push_back(p.id);
    segments_.emplace(interpreter_, trained, loss_->wanted());
  }
  make_optimizers();
}

void Trainer::make_optimizers() {
  using torch::optim::OptimizerParamGroup;
  const TrainingOptions& o = job_.options;
  std::vector<at::Tensor> decayed, plain;
  for (const Parameter& p : parameters_.all)
    if (p.role != Role::step) (p.role == Role::bias ? plain : decayed).push_back(p.value);
  const auto groups = [&](auto options) {
    std::vector<OptimizerParamGroup> list;
    auto without = options;
    without.weight_decay(0);
    if (!decayed.empty())
      list.emplace_back(decayed, std::make_unique<decltype(options)>(options.weight_decay(o.decay)));
    if (!plain.empty()) list.emplace_back(plain, std::make_unique<decltype(options)>(without));
    return list;
  };
  if (o.optimizer == "sgd") {
    const torch::optim::SGDOptions options = torch::optim::SGDOptions(o.rate).momentum(0.9).nesterov(true);
    weights_ = std::make_unique<torch::optim::SGD>(groups(options), options);
  } else {
    const torch::optim::AdamWOptions options(o.rate);
    weights_ = std::make_unique<torch::optim::AdamW>(groups(options), options);
  }
  if (const auto steps = parameters_.steps(); !steps.empty()) {
    const torch::optim::AdamWOptions options = torch::optim::AdamWOptions(o.step_rate).weight_decay(0);
    steps_ = std::make_unique<torch::optim::AdamW>(steps, options);
  }
}

std::vector<torch::optim::Optimizer*> Trainer::optimizers() const {
  std::vector<torch::optim::Optimizer*> list{weights_.get()};
  if (steps_ != nullptr) list.push_back(steps_.get());
  return list;
}

// Of the loss on `part`, times its share.
double Trainer::add_gradients(const StepPart& part) {
  const std::vector<at::Tensor> inputs = interpreter_.inputs_of(part.batch.inputs);
  double loss = 0;
  const auto shared_loss = [&](const std::vector<at::Tensor>& values) {
    const at::Tensor all = loss_->of(values, inputs, part.batch).loss;
    loss = all.item<double>();
    if (!std::isfinite(loss)) throw Error(job_.name, "the loss is no longer a number", "lower rate, or raise warmup");
    return all * part.share;
  };
  if (segments_)
    segments_->backward(inputs, shared_loss);
  else
    shared_loss(interpreter_.run(inputs, loss_->wanted(), job_.options.batch_norm == "train")).backward();
  return loss * part.share;
}

double Trainer::step(const std::vector<StepPart>& parts, double rate_factor) {
  for (torch::optim::Optimizer* optimizer : optimizers()) {
    const double rate = (optimizer == weights_.get() ? job_.options.rate : job_.options.step_rate) * rate_factor;
    for (auto& group : optimizer->param_groups()) group.options().set_lr(rate);
    optimizer->zero_grad();
  }
  parameters_.place(interpreter_);
  double loss = 0;
  for (const StepPart& part : parts) loss += add_gradients(part);
  std::vector<at::Tensor> leaves = parameters_.weights();
  for (const at::Tensor& leaf : parameters_.steps()) leaves.push_back(leaf);
  sum_gradients(leaves, ranks());
  ranks().sum(std::span(&loss, 1));
  for (torch::optim::Optimizer* optimizer : optimizers()) optimizer->step();
  parameters_.keep_zeros();
  return loss;
}

bool Trainer::stopped() const {
  double asked = job_.stopped() ? 1 : 0;
  ranks().sum(std::span(&asked, 1));
  return asked > 0;
}

Trainer::Score Trainer::judge() {
  const at::NoGradGuard guard;
  torch::manual_seed(job_.seed);  // noise inside the model is the same at every judgement
  parameters_.place(interpreter_);
  std::vector<int64_t> order = share_of(split_.held_out, ranks());
  if (job_.data->length)
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return job_.data->length(a) < job_.data->length(b); });
  const int64_t batch = std::min(kJudgedAtOnce, read_at_once(*job_.data, int64_t(job_.options.batch)));
  BatchReader reader(*job_.data, in_parts(order, batch));
  Score score;
  double count = 0;
  for (size_t i = 0; i < reader.count(); ++i) {
    const TrainingBatch read = reader.next();
    const std::vector<at::Tensor> inputs = interpreter_.inputs_of(read.inputs);
    const LossTerms terms = loss_->of(interpreter_.run(inputs, loss_->wanted()), inputs, read);
    score.loss += terms.loss.item<double>() * double(terms.count);
    score.metric += terms.correct.item<double>();
    count += double(terms.count);
  }
  std::vector<double> sums{score.metric, score.loss, count};
  ranks().sum(std::span(sums));
  last_ = {sums[0] / sums[2], sums[1] / sums[2]};
  return last_;
}

bool Trainer::better(const Score& score) const {
  if (!loss_->judged_by_right()) return score.loss <= now_.best_loss;
  return score.metric > now_.best_metric || (score.metric == now_.best_metric && score.loss <= now_.best_loss);
}

std::string Trainer::held_out_text(const Score& score) const { return loss_->text(score.metric, score.loss); }

void Trainer::tell(int64_t epoch, size_t done, size_t count) {
  if (!job_.progress) return;
  const double all = job_.options.epochs, part = double(epoch) + double(done) / double(count), spent = seconds();
  std::string text = fmt::format("{}: epoch {} of {}, loss {:.3f}, held out {}", job_.name, epoch + 1, int64_t(all),
                                 last_loss_, held_out_text(last_));
  if (part > 0.02) text += fmt::format(", {:.0f} min left", std::ceil(spent / part * (all - part) / 60));
  job_.progress(text, part, all);
}

bool Trainer::train_epoch(int64_t epoch) {
  const Ranks& together = ranks();
  const auto batch = int64_t(job_.options.batch);
  // Texts pass one by one: a step adds up the gradients of its parts.
  const int64_t at_once = read_at_once(*job_.data, batch);
  std::vector<std::vector<int64_t>> readings;
  std::vector<size_t> whole, ends;  // of each step: all its samples, this process's last reading
  for (const std::vector<int64_t>& step : epoch_batches(*job_.data, split_.train, batch, job_.seed, epoch)) {
    if (int64_t(step.size()) < together.count()) continue;  // nothing for some: they could not take part
    for (std::vector<int64_t>& reading : in_parts(share_of(step, together), at_once)) readings.push_back(std::move(reading));
    whole.push_back(step.size());
    ends.push_back(readings.size());
  }
  BatchReader reader(*job_.data, readings);
  const uint64_t seed = job_.seed * 7919 + uint64_t(epoch);
  torch::manual_seed(seed + 104729 * uint64_t(together.rank()));
  const auto done = [&](size_t steps) {
    return (double(epoch) + double(steps) / double(ends.size())) / job_.options.epochs;
  };
  for (size_t i = 0, at = 0; i < ends.size(); ++i) {
    if (stopped()) return false;
    std::vector<StepPart> parts;
    for (; at < ends[i]; ++at) {
      parts.push_back({reader.next(), double(readings[at].size()) / double(whole[i])});
      augment(parts.back().batch, job_.options.augment, seed);
    }
    const double loss = step(parts, schedule_factor(job_.options, done(i)));
    if (now_.average.kept()) now_.average.follow(parameters_.live(interpreter_), job_.options.average);
    if (prunings_due(job_.pruning, done(i + 1)) != prunings_due(job_.pruning, done(i))) prune(done(i + 1));
    last_loss_ = i == 0 && epoch == 0 ? loss : 0.95 * last_loss_ + 0.05 * loss;
    tell(epoch, i + 1, ends.size());
  }
  return true;
}

void Trainer::prune(double part) {
  Graph now = interpreter_.graph();
  parameters_.write(interpreter_, now);
  job_.pruning.prune(now, part);
  parameters_.take_zeros(now);
  // A mean with what went would not be sparse.
  if (now_.average.kept()) now_.average.start(parameters_.live(interpreter_));
}

Trainer::Score Trainer::judge_epoch() {
  now_.state = parameters_.state(interpreter_);
  if (!now_.average.kept()) return judge();
  parameters_.restore(now_.average.values, interpreter_);
  const Score score = judge();
  parameters_.restore(now_.state, interpreter_);
  return score;
}

void Trainer::take_best(const Score& score, int64_t epoch) {
  now_.best = now_.average.kept() ? cloned(now_.average.values) : now_.state;
  now_.best_epoch = epoch;
  now_.best_metric = score.metric;
  now_.best_loss = score.loss;
}

// What several processes cannot share out.
void Trainer::check_ranks() const {
  const int count = ranks().count();
  if (count == 1) return;
  if (std::min<int64_t>(int64_t(job_.options.batch), int64_t(split_.train.size())) < count)
    throw Error(job_.name, fmt::format("a step of {} samples cannot be shared out to {} processes", job_.options.batch, count), "raise batch, or start fewer");
  const auto& nodes = interpreter_.graph().nodes;
  // Each text passes alone, so processes may pass through a normalization unequally often.
  if (job_.data->tokens && job_.options.batch_norm == "train" && std::any_of(nodes.begin(), nodes.end(), [](const Node& n) { return n.is("BatchNormalization"); }))
    throw Error(job_.name, "batch statistics of texts cannot be shared out to several processes", "add batchnorm=frozen, or start one process");
}

TrainingReport Trainer::run() {
  now_.state = parameters_.state(interpreter_);
  check_ranks();
  if (ranks().count() > 1) {  // machines of different kinds round earlier passes differently
    take_from_first(now_.state, ranks());
    parameters_.restore(now_.state, interpreter_);
  }
  now_.best = now_.state;
  if (job_.options.average > 0) now_.average.start(now_.state);
  now_.fingerprint = fingerprint(job_, now_.state);
  const bool resumed = load_checkpoint(job_.checkpoint, now_, optimizers());
  double have[] = {resumed ? 1.0 : 0.0, double(now_.epoch)};
  ranks().sum(std::span<double>(have));
  if (have[0] != (resumed ? ranks().count() : 0) || have[1] != double(now_.epoch) * ranks().count())
    throw Error(job_.checkpoint, "is not the same for all processes", "put the output where all of them see it, or remove the file");
  before_ = now_.seconds;
  if (resumed) {
    parameters_.restore(now_.state, interpreter_);
  } else {
    const Score first = judge();
    now_.first_metric = first.metric;
    now_.first_loss = first.loss;
    take_best(job_.pruning.prune ? Score{-1, std::numeric_limits<double>::infinity()} : first, 0);
  }
  TrainingReport report;
  if (resumed) report.notes.push_back(fmt::format("continued after epoch {}", now_.epoch));
  for (int64_t epoch = now_.epoch; epoch < int64_t(job_.options.epochs); ++epoch) {
    if (!train_epoch(epoch)) {
      report.finished = false;
      break;
    }
    const Score score = judge_epoch();
    now_.epoch = epoch + 1;
    const bool sparse = prunings_due(job_.pruning, double(epoch + 1) / job_.options.epochs) == kPrunings;
    if (sparse && better(score)) take_best(score, epoch + 1);
    now_.seconds = seconds();
    if (!job_.checkpoint.empty() && ranks().first()) save_checkpoint(job_.checkpoint, now_, optimizers());
  }
  if (now_.best_metric < 0) {  // stopped before all was pruned that the recipe asks for
    prune(1);
    take_best(judge_epoch(), now_.epoch);
  }
  parameters_.restore(now_.best, interpreter_);
  note(report);
  return report;
}

void Trainer::note(TrainingReport& report) const {
  const auto epochs = int64_t(job_.options.epochs);
  report.notes.push_back(fmt::format(
      "{} → {} on {} held-out training samples; trained on {}, best after epoch {} of {}",
      held_out_text({now_.first_metric, now_.first_loss}), held_out_text({now_.best_metric, now_.best_loss}),
      split_.held_out.size(), split_.train.size(), now_.best_epoch, epochs));
  if (!report.finished)
    report.notes.push_back(
        fmt::format("stopped in epoch {} of {}: the best state so far is kept, the same command continues",
                    now_.epoch + 1, epochs));
  if (const int64_t masked = parameters_.masked())
    report.notes.push_back(fmt::format("{} pruned weights stayed zero", masked));
  if (const size_t steps = parameters_.steps().size())
    report.notes.push_back(fmt::format("trained through {} quantizers, their steps learned", steps));
}

}  // namespace pare
