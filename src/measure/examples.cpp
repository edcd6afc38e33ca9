#include <algorithm>

#include "measure/exhibit.h"

namespace pare {
namespace {

constexpr int64_t kCandidates = 12;  // samples looked at, spread over the test split
constexpr size_t kExamples = 3;
constexpr size_t kModels = 7;  // beside the baseline: a page stays small

// `samples`: the first of each exhibit's.
void run(const OpenModel& model, size_t row, const MeasureOptions& options, std::span<const int64_t> samples,
         std::span<const std::unique_ptr<Exhibit>> exhibits) {
  const DataSet& data = *options.data;
  const int64_t each = find_task(data.task).exhibit_samples;
  SessionOptions session_options;
  session_options.threads = options.threads;
  session_options.tune = data.fixed_size;
  Sessions sessions(model.graph, session_options, 1);
  std::vector<std::string> names;
  for (ValueId id : model.graph.outputs) names.push_back(model.graph.at(id).name);
  for (size_t i = 0; i < samples.size(); ++i)
    for (int64_t sample = samples[i]; sample < std::min(samples[i] + each, data.test->size()); ++sample) {
      if (interrupted()) return;
      const auto inputs = gather_batch(model.graph, data, *data.test, sample, 1);
      const std::vector<Array> outputs = sessions.of(inputs).run(inputs);
      exhibits[i]->see(row, {{}, outputs, {}, false, {&sample, 1}, inputs, names});
    }
}

}  // namespace

void fill_examples(Table& table, std::span<const OpenModel> models, const MeasureOptions& options) {
  if (options.data == nullptr || models.size() < 2) return;
  const DataSet& data = *options.data;
  const Task& task = find_task(data.task);
  if (task.exhibit == nullptr) return;
  std::vector<int64_t> samples;
  std::vector<std::unique_ptr<Exhibit>> exhibits;
  const int64_t count = task.exhibit_samples > 1 ? 1 : std::min(kCandidates, data.test->size());
  for (int64_t i = 0; i < count; ++i) {
    samples.push_back(i * data.test->size() / count);
    exhibits.push_back(task.exhibit(data, samples.back()));
  }
  for (size_t row = 0; row < std::min(models.size(), kModels + 1); ++row)
    if (models[row].row.error.empty()) run(models[row], row, options, samples, exhibits);
  std::stable_sort(exhibits.begin(), exhibits.end(),
                   [](const auto& a, const auto& b) { return a->difference() > b->difference(); });
  for (size_t i = 0; i < std::min(kExamples, exhibits.size()); ++i)
    if (exhibits[i]->difference() >= 0) table.examples.push_back(exhibits[i]->show());
  table.examples_about = task.exhibit_about;
}

}  // namespace pare
