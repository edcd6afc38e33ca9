#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/row.h"
#include "data/data_set.h"
#include "engine/engine.h"
#include "graph/graph.h"

namespace pare {

struct MeasureOptions {
  int threads = 0;  // 0: as set by set_threads()
  int batch = 1;    // of latency; quality chooses its own
  uint64_t seed = 1;
  double seconds = 3;                  // time for latency, all models together
  std::map<std::string, Dims> shapes;  // input name ("": the first) → extents to time with, before the data's
  const DataSet* data = nullptr;       // null: no quality, random inputs
  std::string program =
      "/proc/self/exe";  // the pare program, run anew to measure memory; empty: memory is not measured
  Progress progress;
};

// A model reopened from disk, with what a file alone tells.
struct OpenModel {
  std::string path;
  Graph graph;
  Row row;  // model, recipe, format, size, weights, macs, shapes
};
OpenModel open_model(const std::string& path, const MeasureOptions& options);

// --- quality -------------------------------------------------------------------------------------------------------

// What a model got right, on the whole test split.
struct Quality {
  MetricValue metric;
  std::vector<MetricValue> more;
  std::vector<char> correct;  // per sample, for the paired test; empty where the task has no right and wrong
  // Else the metric over a choice of samples (numbers in the test split, repeats allowed), for the paired bootstrap.
  std::function<double(std::span<const int64_t>)> over_samples;
  // Else the metric without one after the other of some groups of samples, the same for every model: for the paired jackknife.
  std::vector<double> without_group;
  int64_t batch = 1;          // samples judged at a time
};
// `baseline` is needed by tasks that compare with it. Throws Error where data and model do not fit, or when
// interrupted.
Quality measure_quality(const Graph& model, const Graph& baseline, const MeasureOptions& options);
// Absent unless both were judged on the same samples, right or wrong or by a metric over any choice of them.
std::optional<PairedTest> compare_quality(const Quality& model, const Quality& baseline);

// --- latency -------------------------------------------------------------------------------------------------------

struct TimedModel {
  Session* session;
  const std::vector<Array>* inputs;
};
// Interleaved, warm; the first is the baseline. When interrupted returns what it has; a model without a time has runs =
// 0.
std::vector<Latency> measure_latency(std::span<const TimedModel> models, const MeasureOptions& options);
// Opens a session for each model, times them together and fills their rows; rows with an error are skipped.
void fill_latency(std::span<OpenModel> models, const MeasureOptions& options);

// Inputs to time a model with: test samples where there are some of the right shape, else random. Throws Error where
// the model fixes another batch than the one asked for.
std::vector<Array> latency_inputs(const Graph& graph, const MeasureOptions& options);
// What to say where the model leaves extents open that nothing given decides; "" where there are none.
std::string open_extents_note(const Graph& graph, const MeasureOptions& options);

// Absent for models that are no decoders.
std::optional<Throughput> measure_throughput(const Graph& graph, const std::string& path,
                                             const MeasureOptions& options);

// --- memory, energy, machine -----------------------------------------------------------------------------------------

// Peak resident bytes of a fresh process that loads the model and runs it once. Throws Error where that process fails.
int64_t measure_memory(const std::string& path, const std::vector<Array>& inputs, const MeasureOptions& options);
int64_t peak_memory_bytes();  // of this process so far

struct Energy {
  std::optional<double> joules;  // per inference, all CPU packages, idle power included
  std::string note;              // why there is none, or what is included
};
Energy measure_energy(Session& session, const std::vector<Array>& inputs);

// {cpu, cores, isa, memory_bytes, os, threads, pare, date}
nlohmann::json describe_machine(int threads, const std::string& version);

// --- rows ----------------------------------------------------------------------------------------------------------

// Quality, memory and energy into model.row (latency only makes sense for several models at once). `baseline` may be
// the model itself; `baseline_quality` is filled when it is empty, so that it is measured once.
void fill_row(OpenModel& model, const Graph& baseline, std::optional<Quality>& baseline_quality,
              const MeasureOptions& options);
// All of it, for the command `measure`; the first is the baseline. A model that fails gets a row with an error,
// unless it is the baseline: that throws.
Table measure_models(const std::vector<std::string>& paths, const MeasureOptions& options);

// Into the table: the test samples on which the models differ most, as each of them answers. Nothing where the task has
// nothing to look at; models with an error are left out.
void fill_examples(Table& table, std::span<const OpenModel> models, const MeasureOptions& options);

// --- layers --------------------------------------------------------------------------------------------------------

// Every layer of `small` beside the same layer of `baseline`: error, times, bytes, causes in words.
std::vector<LayerRow> compare_layers(const Graph& small, const Graph& baseline, const MeasureOptions& options);

// --- samples -------------------------------------------------------------------------------------------------------

// Arrays of batch 1, alike in type and extents, as one batch.
Array stack(const std::vector<const Array*>& rows);
// These samples as one batch of `count`, in the model's input order; where there are fewer the last one repeats. Samples
// of different lengths are filled up as the data's padding says. Throws Error naming input and shapes where samples and
// model do not fit.
std::vector<Array> gather_samples(const Graph& graph, const DataSet& data, const Samples& samples,
                                  std::span<const int64_t> indices, int64_t count,
                                  std::vector<int64_t>* labels = nullptr);
// The same with samples [first, first + count); beyond the split's end the last sample repeats.
std::vector<Array> gather_batch(const Graph& graph, const DataSet& data, const Samples& samples, int64_t first,
                                int64_t count, std::vector<int64_t>* labels = nullptr);
// One sample's inputs in the model's order, checked against the model's declared shapes.
std::vector<Array> model_inputs(const Graph& graph, const DataSet& data, const Sample& sample);
// The length that samples of at most `longest` get in a batch of `count`: the model's where it fixes one. Rounded up to
// a few steps where it is open, so that a few compiled plans serve all batches.
int64_t batch_length(const Graph& graph, const DataSet& data, int64_t longest, int64_t count);
// The first axis of every input, where it is the same known number; -1 where all are open; 1 where they differ.
int64_t declared_batch(const Graph& graph);

}  // namespace pare
