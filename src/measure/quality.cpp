#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <numbers>
#include <numeric>
#include <optional>
#include <thread>

#include "base/threads.h"
#include "measure/statistics.h"
#include "measure/tasks/task.h"

namespace pare {
namespace {

// More samples at a time do not make a CNN faster on a CPU, only its memory larger.
constexpr int64_t kBatch = 32;
constexpr int64_t kBatchBytes = 2 << 20;  // of inputs; activations take some ten times as much

// Whether samples judged together give the same results as one by one.
bool batches(const Graph& graph) {
  for (ValueId id : graph.inputs)
    if (const auto& shape = graph.at(id).shape; !shape || shape->empty() || (*shape)[0].known()) return false;
  for (ValueId id : graph.outputs)
    if (const auto& shape = graph.at(id).shape; !shape || shape->empty() || (*shape)[0].known()) return false;
  // A scale taken from the whole input would couple the samples.
  return std::none_of(graph.nodes.begin(), graph.nodes.end(),
                      [](const Node& node) { return node.op_type == "DynamicQuantizeLinear"; });
}

int64_t judged_batch(const Graph& graph, const DataSet& data) {
  const int64_t declared = declared_batch(graph);
  if (declared > 0) return declared;
  if (!data.fixed_size || find_task(data.task).one_at_a_time || !batches(graph)) return 1;
  int64_t bytes = 1;
  for (const Array& input : data.test->get(0).inputs) bytes += int64_t(input.size_bytes());
  return std::min({kBatch, data.test->size(), std::max<int64_t>(1, kBatchBytes / bytes)});
}

// Which samples are judged together: neighbours, and where samples differ in length those of similar length, so that
// little is filled up and few plans are compiled.
std::vector<std::vector<int64_t>> schedule(const Graph& graph, const DataSet& data, int64_t batch) {
  std::vector<int64_t> order(static_cast<size_t>(data.test->size()));
  std::iota(order.begin(), order.end(), int64_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return data.test->length(a) < data.test->length(b); });
  std::vector<std::vector<int64_t>> batches;
  int64_t length = -1;
  for (const int64_t sample : order) {
    const int64_t own = batch_length(graph, data, data.test->length(sample), batch);
    if (batches.empty() || own != length || int64_t(batches.back().size()) == batch) batches.emplace_back();
    batches.back().push_back(sample);
    length = own;
  }
  return batches;
}

// Whether both can be given the same samples.
bool same_inputs(const Graph& model, const Graph& baseline) {
  return std::equal(model.inputs.begin(), model.inputs.end(), baseline.inputs.begin(), baseline.inputs.end(),
                    [&](ValueId a, ValueId b) {
                      return model.at(a).type == baseline.at(b).type && model.at(a).name == baseline.at(b).name;
                    });
}

struct Question {
  const Graph& model;
  const Graph* baseline;  // null where the task needs none, or cannot have it
  const DataSet& data;
  int64_t batch;
  std::vector<std::vector<int64_t>> batches;  // sample numbers
  std::vector<std::string> output_names;
};

void check_outputs(const std::vector<Array>& outputs, int64_t batch, const DataSet& data) {
  if (outputs.empty()) throw Error(data.path, "the model has no outputs to judge");
  for (const Array& output : outputs)
    if (batch > 1 && (output.rank() == 0 || output.dim(0) != batch))
      throw Error(data.path, "an output of the model is " + dims_text(output.dims()) +
                                 ", its first axis should be the batch of " + std::to_string(batch));
}

// Judges all batches on several threads. Each has sessions of its own, since samples are independent and threads that
// need not meet within an inference lose nothing to each other; oneDNN wants a primitive made and run by the same
// thread.
class Crew {
 public:
  Crew(const Question& question, Judge& judge, const Progress& progress)
      : question_(question), judge_(judge), progress_(progress), count_(question.data.test->size()) {}

  void run(int threads) {
    const auto batches = int64_t(question_.batches.size());
    std::vector<std::thread> crew;
    std::latch compiled(std::min<int64_t>(threads, batches));
    for (int64_t i = 0; i < std::min<int64_t>(threads, batches); ++i) crew.emplace_back([&] { work(compiled); });
    for (std::thread& thread : crew) thread.join();
    if (error_) std::rethrow_exception(error_);
    if (turn_ < batches)
      throw Error("quality",
                  "interrupted after " + std::to_string(judged_) + " of " + std::to_string(count_) + " samples");
  }

 private:
  void work(std::latch& compiled) {
    set_threads(1);
    const DataSet& data = question_.data;
    SessionOptions options;
    options.threads = 1;
    // Measuring the candidates of every layer does not pay for a plan that judges a few samples.
    const std::vector<int64_t>&first = question_.batches.front(), &last = question_.batches.back();
    options.tune = data.fixed_size && data.test->length(first[0]) == data.test->length(last[0]);
    // Texts come sorted by their length; pictures of a set have a handful of sizes in any order.
    const size_t kept = data.fixed_size ? 1 : 4;
    Sessions sessions(question_.model, options, kept);
    std::optional<Sessions> baseline;
    if (question_.baseline != nullptr) baseline.emplace(*question_.baseline, options, kept);
    try {
      // Before anybody runs: compiling measures candidates.
      const auto inputs = inputs_of(0);
      sessions.of(inputs);
      if (baseline) baseline->of(inputs);
    } catch (...) {
      fail();
    }
    compiled.arrive_and_wait();
    while (!stopped_ && !interrupted()) {
      const int64_t batch = next_.fetch_add(1);
      if (batch >= int64_t(question_.batches.size())) return;
      try {
        run_batch(batch, sessions, baseline ? &*baseline : nullptr);
      } catch (...) {
        fail();
      }
    }
    const std::lock_guard lock(guard_);
    stopped_ = true;  // whoever waits for the turn of a batch that nobody will run
    turn_moved_.notify_all();
  }

  std::vector<Array> inputs_of(int64_t batch, std::vector<int64_t>* labels = nullptr) const {
    return gather_samples(question_.model, question_.data, *question_.data.test, question_.batches[size_t(batch)],
                          question_.batch, labels);
  }

  void run_batch(int64_t batch, Sessions& sessions, Sessions* baseline) {
    std::vector<int64_t> labels;
    const auto inputs = inputs_of(batch, &labels);
    const std::vector<Array> outputs = sessions.of(inputs).run(inputs),
                             expected = baseline != nullptr ? baseline->of(inputs).run(inputs) : std::vector<Array>();
    check_outputs(outputs, question_.batch, question_.data);
    std::unique_lock lock(guard_);
    turn_moved_.wait(lock, [&] { return turn_ == batch || stopped_; });
    if (stopped_) return;
    judge_.see({labels, outputs, expected, question_.batch > 1, question_.batches[size_t(batch)], inputs,
                question_.output_names});
    ++turn_;
    judged_ += int64_t(labels.size());
    if (progress_) progress_("quality", double(judged_), double(count_));
    turn_moved_.notify_all();
  }

  void fail() {
    const std::lock_guard lock(guard_);
    if (!error_) error_ = std::current_exception();
    stopped_ = true;
    turn_moved_.notify_all();
  }

  const Question& question_;
  Judge& judge_;
  const Progress& progress_;
  const int64_t count_;
  std::mutex guard_;
  std::condition_variable turn_moved_;
  int64_t judged_ = 0;  // samples
  int64_t turn_ = 0;    // the batch the judge sees next: results do not depend on who was faster
  std::atomic<int64_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace

Quality measure_quality(const Graph& model, const Graph& baseline, const MeasureOptions& options) {
  PARE_CHECK(options.data != nullptr);
  const DataSet& data = *options.data;
  const Task& task = find_task(data.task);
  if (data.test->size() == 0) throw Error(data.path, "the test split is empty");
  const bool compared = task.compares && &model != &baseline && same_inputs(model, baseline);
  Question question{model, task.needs_baseline || compared ? &baseline : nullptr, data, judged_batch(model, data), {},
                    {}};
  for (ValueId id : model.outputs) question.output_names.push_back(model.at(id).name);
  if (question.baseline != nullptr) question.batch = std::min(question.batch, judged_batch(baseline, data));
  question.batches = schedule(model, data, question.batch);
  const auto judge = task.start(data, options.seed);
  Crew(question, *judge, options.progress).run(options.threads > 0 ? options.threads : threads());
  Quality quality = judge->finish();
  quality.batch = question.batch;
  return quality;
}

namespace {

// The difference of a metric that is no proportion: samples are drawn anew, the same for both models.
std::optional<PairedTest> compare_by_bootstrap(const Quality& model, const Quality& baseline) {
  const int64_t count = model.metric.count;
  if (!model.over_samples || !baseline.over_samples || count != baseline.metric.count ||
      model.metric.name != baseline.metric.name)
    return std::nullopt;
  int64_t draws = 0, above = 0, below = 0;
  const Interval interval = bootstrap_interval(count, 1, [&](std::span<const int64_t> samples) {
    const double difference = model.over_samples(samples) - baseline.over_samples(samples);
    ++draws;
    above += difference >= 0;
    below += difference <= 0;
    return difference;
  });
  PairedTest test;
  test.test = "paired bootstrap";
  test.difference = model.metric.value - baseline.metric.value;
  test.low = interval.low;
  test.high = interval.high;
  if (draws > 0) test.p_value = std::min(1.0, 2 * double(std::min(above, below) + 1) / double(draws + 1));
  for (int64_t i = 0; i < count; ++i) {
    const double ours = model.over_samples({&i, 1}), theirs = baseline.over_samples({&i, 1});
    test.better += model.metric.higher_is_better ? ours > theirs : ours < theirs;
    test.worse += model.metric.higher_is_better ? ours < theirs : ours > theirs;
  }
  return test;
}

// The difference of a metric of all samples together: both models are judged without the same groups.
std::optional<PairedTest> compare_by_jackknife(const Quality& model, const Quality& baseline) {
  const size_t groups = model.without_group.size();
  if (groups < 2 || groups != baseline.without_group.size() || model.metric.name != baseline.metric.name) return std::nullopt;
  PairedTest test;
  test.test = "paired jackknife";
  test.difference = model.metric.value - baseline.metric.value;
  std::vector<double> differences;
  for (size_t i = 0; i < groups; ++i) differences.push_back(model.without_group[i] - baseline.without_group[i]);
  const Interval interval = jackknife_interval(test.difference, differences);
  test.low = interval.low;
  test.high = interval.high;
  const double deviation = jackknife_deviation(differences);
  test.p_value = deviation > 0 ? std::erfc(std::abs(test.difference) / deviation / std::numbers::sqrt2) : test.difference == 0 ? 1 : 0;
  return test;
}

}  // namespace

std::optional<PairedTest> compare_quality(const Quality& model, const Quality& baseline) {
  if (!model.without_group.empty() || !baseline.without_group.empty()) return compare_by_jackknife(model, baseline);
  if (model.correct.empty() && baseline.correct.empty()) return compare_by_bootstrap(model, baseline);
  if (model.correct.empty() || model.correct.size() != baseline.correct.size()) return std::nullopt;
  PairedCounts counts;
  for (size_t i = 0; i < model.correct.size(); ++i) {
    if (model.correct[i])
      ++(baseline.correct[i] ? counts.both : counts.only_model);
    else
      ++(baseline.correct[i] ? counts.only_baseline : counts.neither);
  }
  const Interval interval = paired_interval(counts);
  PairedTest test;
  test.difference = double(counts.only_model - counts.only_baseline) / double(model.correct.size());
  test.low = interval.low;
  test.high = interval.high;
  test.better = counts.only_model;
  test.worse = counts.only_baseline;
  test.p_value = mcnemar_p_value(test.better, test.worse);
  return test;
}

}  // namespace pare
