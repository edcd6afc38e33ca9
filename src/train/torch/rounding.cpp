// Rounding learned block by block: AdaRound's relaxation (Nagel et al. 2020, section 3.3) on the output error of whole
// blocks (Li et al. 2021, BRECQ, section 3.2). A block reads what the quantized network in front of it computes and is
// held to what the network computed in floats, so that it makes up for errors in front as well.
#include "train/torch/rounding.h"

#include <fmt/format.h>
#include <torch/optim.h>

#include <cmath>
#include <memory>

#include "base/random.h"
#include "base/threads.h"
#include "engine/front.h"
#include "train/torch/arrays.h"
#include "train/torch/blocks.h"
#include "train/torch/parameters.h"

namespace pare {
namespace {

// The rectified sigmoid's stretch, and the sharpness of the regularizer from first to last: AdaRound, section 3.3 and
// appendix.
constexpr double kLow = -0.1, kHigh = 1.1;
constexpr double kSharpFirst = 20, kSharpLast = 2;
constexpr double kFree = 0.2;  // part of all steps in which nothing pushes towards whole numbers
constexpr double kWeight =
    1.0;  // of the regularizer's mean against the block's error, as a share of what nearest rounding loses

using Tensors = std::vector<at::Tensor>;

// What one quantized weight is rounded to: floor + h, h between 0 and 1.
struct Rounding {
  Parameter* weight;
  at::Tensor floor;       // of the latent in steps, zero point added
  at::Tensor v;           // leaf: h = clamp(sigmoid(v) · (kHigh − kLow) + kLow, 0, 1)
  at::Tensor step, zero;  // shaped to stand beside the elements

  at::Tensor h() const {
    const at::Tensor soft = at::clamp(at::sigmoid(v) * (kHigh - kLow) + kLow, 0, 1);
    return weight->mask.defined() ? soft * weight->mask : soft;
  }
  at::Tensor element(const at::Tensor& up) const {
    return (at::clamp(floor + up, weight->least, weight->most) - zero) * step;
  }
};

Rounding rounding_of(Parameter& p, const Tensor& tensor) {
  const at::NoGradGuard guard;
  const at::Tensor integers = tensor_of(tensor.parts[0], at::kFloat);
  p.least = integers.min().item<double>();  // int4 may hold numbers of fewer bits, which stay so few
  p.most = integers.max().item<double>();
  Rounding r{&p, {}, {}, beside(p.start, tensor), {}};
  r.zero = p.zero.defined() ? beside(p.zero, tensor) : at::zeros({}, p.value.options());
  const at::Tensor q = p.value.detach() / r.step + r.zero;
  r.floor = at::floor(q);
  const at::Tensor rest = at::clamp((q - r.floor - kLow) / (kHigh - kLow), 1e-4, 1 - 1e-4);
  r.v = at::log(rest / (1 - rest)).requires_grad_(true);
  return r;
}

// Samples of one size, one after the other along axis 0: what a block reads of them and what it is to compute.
struct Group {
  Tensors read, wanted;
  int64_t count = 1;
};

// `read`, `wanted`: of each sample.
std::vector<Group> groups_of(const std::vector<Tensors>& read, const std::vector<Tensors>& wanted, bool joinable) {
  const auto alike = [](const Tensors& a, const Tensors& b) {
    for (size_t i = 0; i < a.size(); ++i)
      if (a[i].dim() < 2 || a[i].size(0) != 1 || a[i].sizes() != b[i].sizes()) return false;
    return true;
  };
  const auto joined = [](const std::vector<Tensors>& samples, size_t first, size_t last) {
    Tensors all;
    for (size_t i = 0; i < samples[first].size(); ++i) {
      Tensors parts;
      for (size_t k = first; k < last; ++k) parts.push_back(samples[k][i]);
      all.push_back(last - first == 1 ? parts[0] : at::cat(parts));
    }
    return all;
  };
  std::vector<Group> groups;
  for (size_t first = 0, last; first < read.size(); first = last) {
    for (last = first + 1;
         joinable && last < read.size() && alike(read[first], read[last]) && alike(wanted[first], wanted[last]);)
      ++last;
    groups.push_back({joined(read, first, last), joined(wanted, first, last), int64_t(last - first)});
  }
  return groups;
}

// One block, its samples, and what is learned of it.
class BlockRounding {
 public:
  // `part`: the block as a graph of its own; its constants have the names they have in the whole.
  BlockRounding(Graph part, const RoundingJob& job, const TrainingJob& as_training)
      : job_(job), interpreter_(std::move(part)), parameters_(interpreter_, as_training) {
    for (Parameter& p : parameters_.all) {
      if (p.encoded()) roundings_.push_back(rounding_of(p, *interpreter_.graph().constant(p.id)));
      if (p.role == Role::bias)
        biases_.push_back(p.value);
      else if (p.role == Role::step)
        steps_.push_back(p.value);
      else
        p.value.requires_grad_(false);
      if (p.log_step.defined()) p.log_step.requires_grad_(false);
    }
  }
  // Of each sample; `joinable`: several are computed at once where they are alike.
  void take(const Front::Arrays& read, const Front::Arrays& wanted, bool joinable);

  // False where it was stopped; the weights are then as they were.
  bool learn(const std::function<void(int64_t)>& tell);
  int write(Graph& graph) const;
  double before_db() const { return before_db_; }
  double after_db() const { return after_db_; }

 private:
  at::Tensor error(const Tensors& read,
                   const Tensors& wanted) const;  // squared, over the squared values wanted, summed over the outputs
  at::Tensor random_error(Random& random) const;  // of a batch drawn at random
  double total_error() const;                     // mean over all samples
  void place(bool soft);
  void settle();  // the weights as they will be written
  at::Tensor regularizer(double sharpness) const;

  const RoundingJob& job_;
  Interpreter interpreter_;
  Parameters parameters_;
  std::vector<Group> groups_;
  std::vector<Rounding> roundings_;
  Tensors biases_, steps_;
  double before_db_ = 0, after_db_ = 0;
};

void BlockRounding::take(const Front::Arrays& read, const Front::Arrays& wanted, bool joinable) {
  std::vector<Tensors> reads, wants;
  for (size_t i = 0; i < read.size(); ++i) {
    reads.push_back(interpreter_.inputs_of(read[i]));
    wants.emplace_back();
    for (const Array& array : wanted[i]) wants.back().push_back(channels_last(tensor_of(array, interpreter_.real())));
  }
  groups_ = groups_of(reads, wants, joinable);
}

at::Tensor BlockRounding::error(const Tensors& read, const Tensors& wanted) const {
  const Tensors values = interpreter_.run(read, interpreter_.graph().outputs);
  at::Tensor sum = at::zeros({}, at::kFloat);
  for (size_t i = 0; i < values.size(); ++i)
    sum = sum + (values[i] - wanted[i]).square().sum() / wanted[i].square().sum().clamp_min(1e-12);
  return sum;
}

at::Tensor BlockRounding::random_error(Random& random) const {
  // A group as often as it has samples.
  int64_t all = 0;
  for (const Group& group : groups_) all += group.count;
  auto at = int64_t(random.below(uint64_t(all)));
  size_t g = 0;
  while (at >= groups_[g].count) at -= groups_[g++].count;
  const Group& group = groups_[g];
  const int64_t batch = int64_t(job_.options.batch);
  if (group.count <= batch) return error(group.read, group.wanted);
  const at::Tensor rows = at::empty({batch}, at::kLong);
  for (int64_t i = 0; i < batch; ++i) rows.data_ptr<int64_t>()[i] = int64_t(random.below(uint64_t(group.count)));
  const auto drawn = [&](const Tensors& values) {
    Tensors some;
    for (const at::Tensor& value : values) some.push_back(value.index_select(0, rows));
    return some;
  };
  return error(drawn(group.read), drawn(group.wanted));
}

double BlockRounding::total_error() const {
  const at::NoGradGuard guard;
  double sum = 0, all = 0;
  for (const Group& group : groups_)
    for (int64_t first = 0; first < group.count; first += int64_t(job_.options.batch)) {
      const int64_t some = std::min(int64_t(job_.options.batch), group.count - first);
      const auto stretch = [&](Tensors values) {
        if (some < group.count)
          for (at::Tensor& value : values) value = value.narrow(0, first, some);
        return values;
      };
      sum += error(stretch(group.read), stretch(group.wanted)).item<double>() * double(some);
      all += double(some);
    }
  return sum / all;
}

void BlockRounding::place(bool soft) {
  parameters_.place(interpreter_);
  if (soft)
    for (const Rounding& r : roundings_) interpreter_.set(r.weight->id, r.element(r.h()));
}

void BlockRounding::settle() {
  const at::NoGradGuard guard;
  for (const Rounding& r : roundings_) r.weight->value.copy_(r.element((r.h() >= 0.5).to(r.floor.scalar_type())));
}

// 1 − |2h − 1|^sharpness, its mean over all weights of the block.
at::Tensor BlockRounding::regularizer(double sharpness) const {
  at::Tensor sum = at::zeros({}, at::kFloat);
  int64_t count = 0;
  for (const Rounding& r : roundings_) {
    sum = sum + (1 - (2 * r.h() - 1).abs().pow(sharpness)).sum();
    count += r.v.numel();
  }
  return sum / double(std::max<int64_t>(count, 1));
}

double decibels(double ratio) {
  return -10 * std::log10(std::max(ratio, 1e-30));
}

bool BlockRounding::learn(const std::function<void(int64_t)>& tell) {
  const auto total = int64_t(job_.options.steps);
  const Tensors first = parameters_.state(interpreter_);
  place(false);
  const double before = total_error();
  before_db_ = after_db_ = decibels(before);
  Tensors variables;
  for (const Rounding& r : roundings_) variables.push_back(r.v);
  std::vector<std::unique_ptr<torch::optim::Adam>> optimizers;
  const auto add = [&](const Tensors& leaves, double rate) {
    if (!leaves.empty() && rate > 0)
      optimizers.push_back(std::make_unique<torch::optim::Adam>(leaves, torch::optim::AdamOptions(rate)));
  };
  add(variables, job_.options.rate);
  add(biases_, job_.options.bias_rate);
  add(steps_, job_.options.step_rate);
  Random random(job_.seed);
  for (int64_t step = 0; step < total; ++step) {
    if (job_.stopped()) {
      parameters_.restore(first, interpreter_);
      return false;
    }
    tell(step);
    for (const auto& optimizer : optimizers) optimizer->zero_grad();
    place(true);
    at::Tensor loss = random_error(random) / std::max(before, 1e-12);
    const double t = double(step) / double(total);
    if (t >= kFree) {
      const double rest = (t - kFree) / (1 - kFree);
      loss = loss + regularizer(kSharpLast + (kSharpFirst - kSharpLast) * (1 - rest)) * kWeight;
    }
    loss.backward();
    for (const auto& optimizer : optimizers) optimizer->step();
  }
  settle();
  place(false);
  const double after = total_error();
  if (after < before) {
    after_db_ = decibels(after);
    return true;
  }
  parameters_.restore(first, interpreter_);  // nearest rounding, which learning did not better
  return true;
}

int BlockRounding::write(Graph& graph) const {
  Graph part = interpreter_.graph();
  parameters_.write(interpreter_, part);
  for (const Parameter& p : parameters_.all) graph.at(graph.find(p.name)).constant = part.at(p.id).constant;
  return int(roundings_.size());
}

// As many samples as may be kept in front of a block and behind it, quantized and not, for the engine and for libtorch;
// judged by the largest value of the first one. Spread over all.
Front::Arrays samples_within(const Interpreter& whole, const RoundingJob& job, TrainingReport& report) {
  const at::NoGradGuard guard;
  std::vector<ValueId> values;
  for (const Node& node : whole.graph().nodes)
    for (ValueId id : node.outputs)
      if (id != kNone) values.push_back(id);
  size_t largest = 1;
  for (const at::Tensor& value : whole.run(whole.inputs_of(job.sample(0)), values))
    if (value.defined()) largest = std::max(largest, value.nbytes());
  const int64_t count = std::clamp<int64_t>(job.max_memory / (4 * int64_t(largest)), 1, job.count);
  if (count < job.count)
    report.notes.push_back(
        fmt::format("{} of {} calibration samples were used: more would take over {} MB (--max-memory)", count,
                    job.count, job.max_memory >> 20));
  Front::Arrays samples;
  for (int64_t i = 0; i < count; ++i) {
    if (job.progress) job.progress(job.name + ": reading the calibration data", double(i), double(count));
    samples.push_back(job.sample(i * job.count / count));
  }
  return samples;
}

// Several samples at once only where the model leaves their number open.
bool takes_batches(const Graph& graph) {
  return std::all_of(graph.inputs.begin(), graph.inputs.end(), [&](ValueId id) {
    const auto& shape = graph.at(id).shape;
    return shape && !shape->empty() && !shape->front().known();
  });
}

}  // namespace

TrainingReport learn_rounding_by_blocks(Graph& graph, const RoundingJob& job) {
  TrainingJob as_training;
  as_training.name = job.name;
  as_training.floats = job.floats;
  as_training.options.freeze = job.options.freeze;
  as_training.options.batch_norm = "frozen";
  as_training.matches = job.matches;
  const Interpreter whole(graph);
  std::vector<char> learned(graph.values.size(), 0);
  for (const Parameter& p : Parameters(whole, as_training).all) learned[size_t(p.id)] = p.encoded();
  const std::vector<Block> blocks = find_blocks(graph, learned, *job.floats);
  TrainingReport report;
  if (blocks.empty())
    throw Error(job.name, "finds no quantized layer whose rounding could be learned",
                "quantize weights in the same recipe, in front of it");
  Front::Arrays samples = samples_within(whole, job, report);
  const size_t count = samples.size();
  Front quantized(samples, options_for_samples(graph), true),
      floats(std::move(samples), options_for_samples(*job.floats), true);
  const bool joinable = takes_batches(graph);
  floats.move(*job.floats, 0);
  const std::vector<int> producers = job.floats->producers();
  double before = 0, after = 0;
  size_t done = 0;
  for (; done < blocks.size(); ++done) {
    const Block& block = blocks[done];
    const Rest rest = rest_of(graph, values_before(graph, int(block.first)));
    BlockRounding rounding(part_of(graph, rest, block.outputs), job, as_training);
    std::vector<ValueId> wanted;
    for (ValueId id : block.outputs) wanted.push_back(job.floats->find(graph.at(id).name));
    quantized.move(graph, int(block.first));
    rounding.take(*quantized.values(rest.reads), floats.compute(*job.floats, wanted), joinable);
    set_threads(job.threads);
    report.finished = rounding.learn([&](int64_t step) {
      if (job.progress && step % 10 == 0)
        job.progress(fmt::format("{}: block {} of {}", job.name, done + 1, blocks.size()),
                     double(done) + double(step) / job.options.steps, double(blocks.size()));
    });
    if (!report.finished) break;
    report.changed += rounding.write(graph);
    before += rounding.before_db() / double(blocks.size());
    after += rounding.after_db() / double(blocks.size());
    if (done + 1 < blocks.size()) floats.move(*job.floats, producers[size_t(wanted[0])] + 1);
  }
  report.notes.push_back(
      fmt::format("{} blocks of {} quantized layers, held to what they computed in floats on {} samples: signal to "
                  "noise {:.1f} dB with nearest rounding, {:.1f} dB with learned",
                  done, report.changed, count, before, after));
  if (!report.finished)
    report.notes.push_back(
        fmt::format("stopped in block {} of {}: the layers behind keep nearest rounding", done + 1, blocks.size()));
  return report;
}

}  // namespace pare
