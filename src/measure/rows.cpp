#include "formats/format.h"
#include "measure/measure.h"

namespace pare {
namespace {

// Extents to count multiplications with: one sample, as the data has them where the model leaves them open.
std::vector<Dims> counted_dims(const Graph& graph, const MeasureOptions& options) {
  MeasureOptions one = options;
  one.batch = 1;
  std::vector<Dims> dims;
  for (const Array& input : latency_inputs(graph, one)) dims.push_back(input.dims());
  return dims;
}

void fill_run_figures(OpenModel& model, const MeasureOptions& options) {
  const std::vector<Array> inputs = latency_inputs(model.graph, options);
  std::vector<Dims> dims;
  for (const Array& input : inputs) dims.push_back(input.dims());
  SessionOptions session_options;
  session_options.threads = options.threads;
  Session session(model.graph, dims, session_options);
  const Energy energy = measure_energy(session, inputs);
  model.row.energy_joules = energy.joules;
  model.row.energy_note = energy.note;
  model.row.throughput = measure_throughput(model.graph, model.path, options);
  // After the session: what it measured about its layers is cached, so the new process only loads and runs.
  if (!options.program.empty()) model.row.peak_memory_bytes = measure_memory(model.path, inputs, options);
}

}  // namespace

OpenModel open_model(const std::string& path, const MeasureOptions& options) {
  OpenModel model{path, read_model(path), {}};
  Row& row = model.row;
  row.model = path;
  row.format = format_of_file(path).name;
  if (auto recipe = model.graph.metadata.find("pare.recipe"); recipe != model.graph.metadata.end())
    row.recipe = recipe->second;
  row.size_bytes = artifact_bytes(path);
  const WeightCount weights = count_weights(model.graph);
  row.weight_count = weights.count;
  row.weight_nonzero = weights.nonzero;
  if (const std::string note = open_extents_note(model.graph, options); !note.empty()) row.notes.push_back(note);
  const std::vector<Dims> dims = counted_dims(model.graph, options);
  for (size_t i = 0; i < dims.size(); ++i)
    row.shapes.push_back(model.graph.at(model.graph.inputs[i]).name + " " + dims_text(dims[i]));
  try {
    Graph shaped = model.graph;
    infer_shapes(shaped, dims);
    row.macs = count_macs(shaped);
  } catch (const Error& error) {  // the model can still be looked at; running it will say the same
    row.notes.push_back(error.what());
  }
  return model;
}

void fill_row(OpenModel& model, const Graph& baseline, std::optional<Quality>& baseline_quality,
              const MeasureOptions& options) {
  const bool is_baseline = &model.graph == &baseline;
  if (options.data != nullptr) {
    if (!baseline_quality) baseline_quality = measure_quality(baseline, baseline, options);
    const Quality quality = is_baseline ? *baseline_quality : measure_quality(model.graph, baseline, options);
    model.row.metric = quality.metric;
    model.row.more_metrics = quality.more;
    if (!is_baseline) model.row.paired = compare_quality(quality, *baseline_quality);
  }
  fill_run_figures(model, options);
}

Table measure_models(const std::vector<std::string>& paths, const MeasureOptions& options) {
  std::vector<OpenModel> models;
  std::optional<Quality> baseline_quality;
  models.reserve(paths.size());  // the baseline is referred to while others are added
  for (const std::string& path : paths) {
    if (interrupted()) break;
    if (options.progress) options.progress("opening " + path, double(models.size()), double(paths.size()));
    OpenModel& model = models.emplace_back();
    model.row.model = path;
    try {
      model = open_model(path, options);
      fill_row(model, models.front().graph, baseline_quality, options);
    } catch (const Error& error) {
      if (models.size() == 1) throw;
      if (interrupted()) {
        models.pop_back();
        break;
      }
      model.row.error = error.what();
    }
  }
  fill_latency(models, options);
  Table table;
  if (options.data != nullptr) table.data = options.data->summary;
  for (OpenModel& model : models) table.rows.push_back(std::move(model.row));
  return table;
}

}  // namespace pare
