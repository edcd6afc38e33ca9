#include "passes/training.h"

#include <cmath>
#include <utility>

namespace pare {
namespace {

TrainingJob job_of(const std::string& name, const TrainingOptions& options, const PassRun& pass) {
  if (pass.training == nullptr || pass.training->count == 0)
    throw Error(name, "needs training data, none was given",
                "add --data FILE: its [training] table, or all samples behind its [calibration] (docs/guide/data.md)");
  TrainingJob job;
  job.name = name;
  job.options = options;
  job.data = pass.training;
  take_run(pass, job);
  return job;
}

}  // namespace

std::map<std::string, std::vector<float>> loss_changes(const Graph& graph, const std::string& name, PassRun& pass) {
  constexpr int64_t kSamples = 2048, kBatch = 32;
  TrainingOptions options;
  options.batch = kBatch;
  options.freeze = "";
  std::map<std::string, std::vector<float>> changes;
  for (const auto& [constant, gradient] : training_library().gradients(graph, job_of(name, options, pass), kSamples)) {
    std::vector<float> change = gradient.mean_square.to_floats();
    const std::vector<float> values = graph.constant(graph.find(constant))->decode().to_floats();
    for (size_t i = 0; i < change.size(); ++i) change[i] *= values[i] * values[i];
    changes.emplace(constant, std::move(change));
  }
  return changes;
}

void run_training(Graph& graph, const std::string& name, const TrainingOptions& options, const Teaching& teaching,
                  PassRun& pass, std::vector<std::string> only) {
  TrainingJob job = job_of(name, options, pass);
  job.options.epochs = std::floor(options.epochs);
  job.options.batch = std::floor(options.batch);
  job.teaching = teaching;
  job.pruning = std::exchange(pass.pruning, {});
  job.floats = pass.floats;
  job.checkpoint = pass.checkpoint;
  job.only = std::move(only);
  TrainingReport report = training_library().train(graph, job);
  pass.changed += report.changed;
  pass.stopped = !report.finished;
  pass.notes.insert(pass.notes.end(), report.notes.begin(), report.notes.end());
}

}  // namespace pare
