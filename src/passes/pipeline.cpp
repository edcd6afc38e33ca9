// The driver of passes, written once: what a pass needs measured is measured here, and around every pass stands the
// same frame of clock, verification and record.
#include <chrono>
#include <optional>

#include "base/threads.h"
#include "codecs/codecs.h"
#include "engine/front.h"
#include "graph/simplify.h"
#include "passes/pass.h"

namespace pare {
namespace {

int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const Value& value : graph.values)
    if (value.constant) bytes += value.constant->size_bytes();
  return bytes;
}

// One run over the calibration samples on the fast engine; every observed value is tapped.
void observe(const Graph& graph, const Observations& observations, const PipelineInputs& inputs, const std::string& pass) {
  if (observations.empty()) return;
  need_samples(inputs.calibration, pass);
  SessionOptions options = options_for_samples(graph);
  const int all_threads = threads();
  std::vector<Observer*> observers;
  for (const auto& [name, observer] : observations) {
    options.taps.push_back(name);
    observers.push_back(observer.get());
  }
  Sessions sessions(graph, options, 1);  // pictures and texts have sizes of their own
  const size_t outputs = graph.outputs.size();
  const int before = interruptions();  // training that was stopped early does not stop what follows it
  for (int64_t i = 0; i < inputs.calibration.count; ++i) {
    if (interruptions() > before) throw Error(pass, "interrupted while measuring the calibration data");
    if (inputs.progress) inputs.progress(pass + ": calibration", double(i), double(inputs.calibration.count));
    const std::vector<Array> sample = inputs.calibration.get(i), results = sessions.of(sample).run(sample);
    parallel_for(int64_t(observers.size()), [&](int64_t first, int64_t last) {
      for (int64_t k = first; k < last; ++k) observers[size_t(k)]->see(results[outputs + size_t(k)]);
    });
  }
  set_threads(all_threads);
}

// What the passes of one recipe share.
struct Stages {
  Graph original;                 // as it came
  Graph reference;                // as it last computed the original function
  std::optional<Graph> floats;    // before weights were first encoded
  GradualPruning pruning;         // left to the next pass
  bool stopped = false;
};

int encoded_weights(const Graph& graph) {
  int count = 0;
  for (const Value& value : graph.values) count += value.constant && !value.constant->plain();
  return count;
}

PassRecord run_pass(Graph& graph, Stages& stages, const RecipeStep& step, const PipelineInputs& inputs, size_t number) {
  const Pass& pass = find_pass(step.name);
  const auto start = std::chrono::steady_clock::now();
  const auto bound = pass.bind(step.options);
  make_dense(graph);  // pruned weights are zeros to every pass
  make_dense(stages.reference);
  PassRecord record;
  const std::string options = bound->options();
  record.recipe = pass.name + (options.empty() ? "" : "{" + options + "}");
  record.bytes_before = constant_bytes(graph);
  Observations observations;
  bound->request(stages.reference, observations);
  observe(stages.reference, observations, inputs, pass.name);
  PassRun run{.observed = observations, .reference = stages.reference, .seed = inputs.seed, .samples = inputs.calibration, .progress = inputs.progress,
              .original = &stages.original, .floats = stages.floats ? &*stages.floats : nullptr, .training = &inputs.training, .load = inputs.load, .shapes = inputs.shapes, .max_memory = inputs.max_memory};
  run.pruning = std::move(stages.pruning);
  if (!inputs.checkpoint.empty()) run.checkpoint = inputs.checkpoint + "." + std::to_string(number);
  const Graph before = graph;
  bound->run(graph, run);
  graph.remove_unused();
  verify(graph);
  infer_shapes(graph);
  if (pass.keeps_function) stages.reference = graph;
  if (!stages.floats && encoded_weights(graph) > encoded_weights(before)) {
    stages.floats = before;
    fold_batch_norms(*stages.floats);  // as passes that encode weights do first
  }
  stages.stopped |= run.stopped;
  stages.pruning = std::move(run.pruning);
  record.bytes_after = constant_bytes(graph);
  record.changed = run.changed;
  record.notes = std::move(run.notes);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return record;
}

// All passes that need it are named at once, before any work.
void check_training(const std::vector<RecipeStep>& steps) {
  std::string missing;
  for (const RecipeStep& step : steps)
    if (find_pass(step.name).needs_training && missing.find("'" + step.name + "'") == std::string::npos) missing += (missing.empty() ? "'" : ", '") + step.name + "'";
  if (!missing.empty() && !has_training()) throw UsageError("recipe", missing + " need" + (missing.find(',') == std::string::npos ? "s" : "") + " the training library, which is not installed", training_advice());
}

}  // namespace

void need_samples(const SampleSource& samples, const std::string& who) {
  if (samples.count == 0) throw Error(who, "needs calibration data, none was given", "add --data FILE (a data description with a [calibration] part; see docs/guide/data.md)");
}

std::vector<std::vector<Array>> spread_samples(const SampleSource& samples, int64_t most) {
  std::vector<std::vector<Array>> chosen;
  const int64_t count = std::min(most, samples.count);
  int64_t values = 0;
  for (int64_t i = 0; i < count && values < 100'000; ++i) {
    chosen.push_back(samples.get(i * samples.count / count));
    for (const Array& input : chosen.back()) values += input.count();
  }
  return chosen;
}

PipelineResult run_recipe(Graph& graph, const std::string& recipe, const PipelineInputs& inputs) {
  PipelineResult result;
  result.recipe = canonical_recipe(recipe);  // all mistakes in the recipe come to light before any work
  const std::vector<RecipeStep> steps = parse_recipe(recipe);
  check_training(steps);
  remove_no_ops(graph);  // an export's Identity and empty Pad would only stand between layers and their fusions
  Stages stages{graph, graph, std::nullopt};
  for (size_t i = 0; i < steps.size(); ++i) {
    if (inputs.progress) inputs.progress(steps[i].name, 0, 0);
    result.passes.push_back(run_pass(graph, stages, steps[i], inputs, i + 1));
    if (stages.pruning.prune && (i + 1 == steps.size() || !find_pass(steps[i + 1].name).needs_training))
      throw UsageError("recipe", "'" + result.passes.back().recipe + "' prunes while the model is trained, and no training follows it",
                       "put finetune or distil directly behind it, or leave schedule out to prune at once");
  }
  result.stopped = stages.stopped;
  return result;
}

}  // namespace pare
