#include "passes/training.h"

#include <cmath>

#include "base/threads.h"
#include "passes/weights.h"

namespace pare {

void run_training(Graph& graph, const std::string& name, const TrainingOptions& options, const Teaching& teaching, PassRun& pass) {
  if (pass.training == nullptr || pass.training->count == 0)
    throw Error(name, "needs training data, none was given", "add --data FILE: its [training] table, or all samples behind its [calibration] (docs/guide/data.md)");
  TrainingJob job;
  job.name = name;
  job.options = options;
  job.options.epochs = std::floor(options.epochs);
  job.options.batch = std::floor(options.batch);
  job.teaching = teaching;
  job.data = pass.training;
  job.floats = pass.floats;
  job.seed = pass.seed;
  job.threads = threads();
  job.checkpoint = pass.checkpoint;
  job.progress = pass.progress;
  const int before = interruptions();
  job.stopped = [before] { return interruptions() > before; };
  job.matches = name_matches;
  TrainingReport report = training_library().train(graph, job);
  pass.changed += report.changed;
  pass.stopped = !report.finished;
  pass.notes.insert(pass.notes.end(), report.notes.begin(), report.notes.end());
}

}  // namespace pare
