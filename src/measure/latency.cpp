#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "base/threads.h"
#include "measure/measure.h"
#include "measure/statistics.h"

namespace pare {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLeastRounds = 20;      // below, the interval of the ratio says little
constexpr int kMostRounds = 2000;     // above, the bootstrap costs more than it tells
constexpr double kWarmSeconds = 0.1;  // clocks of a core rise within some 10 ms
constexpr double kBurstSeconds =
    5e-4;  // short inferences run in bursts, else the switch between models is what is timed
constexpr int kLongestBurst = 200;
constexpr double kBusy = 30;  // preemptions a second; a quiet machine shows fewer than 10
constexpr const char* kBusyNote = "other programs used the processor while latency was measured";
constexpr double kPatience = 10;  // times the budget, after which slow models get fewer rounds

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Timed {
  TimedModel model;
  int burst = 1;
  std::vector<double> all_ms;
  std::vector<double> round_ms;  // median of each round's burst
};

double time_once(const TimedModel& model) {
  const auto start = Clock::now();
  model.session->run_only(*model.inputs);
  return seconds_since(start);
}

void warm(Timed& timed) {
  const auto start = Clock::now();
  double least = time_once(timed.model);
  int runs = 1;
  while (runs < 3 || seconds_since(start) < kWarmSeconds) {
    least = std::min(least, time_once(timed.model));
    if (++runs >= 3 && (interrupted() || seconds_since(start) > kPatience * kWarmSeconds)) break;
  }
  timed.burst = int(std::clamp(kBurstSeconds / std::max(least, 1e-7), 1.0, double(kLongestBurst)));
}

// The first run of a turn is not counted: it fetches back what the other models pushed out of the caches.
void take_turn(Timed& timed) {
  time_once(timed.model);
  std::vector<double> burst;
  for (int i = 0; i < timed.burst; ++i) burst.push_back(time_once(timed.model) * 1e3);
  timed.all_ms.insert(timed.all_ms.end(), burst.begin(), burst.end());
  timed.round_ms.push_back(median(std::move(burst)));
}

// How often other programs took a core from this one. On a quiet machine some few times a second.
long preemptions() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

// Turns of all models in every round; who begins moves on, so that no model always follows the same one.
void run_rounds(std::vector<Timed>& timed, double seconds) {
  const auto start = Clock::now();
  for (int round = 0; round < kMostRounds && !interrupted(); ++round) {
    const double spent = seconds_since(start);
    if (spent > seconds && (round >= kLeastRounds || (round >= 3 && spent > kPatience * seconds))) break;
    for (size_t i = 0; i < timed.size(); ++i) take_turn(timed[(i + size_t(round)) % timed.size()]);
  }
}

Latency summarize(const Timed& timed, const Timed& baseline, const MeasureOptions& options) {
  Latency latency;
  latency.runs = int(timed.all_ms.size());
  latency.median_ms = median(timed.all_ms);
  latency.p95_ms = percentile(timed.all_ms, 0.95);
  latency.threads = options.threads > 0 ? options.threads : threads();
  latency.batch = options.batch;
  if (&timed == &baseline) return latency;
  std::vector<double> ratios;
  for (size_t round = 0; round < std::min(timed.round_ms.size(), baseline.round_ms.size()); ++round)
    ratios.push_back(timed.round_ms[round] / baseline.round_ms[round]);
  latency.ratio = median(ratios);
  const Interval interval =
      bootstrap_interval(int64_t(ratios.size()), options.seed, [&](std::span<const int64_t> rounds) {
        std::vector<double> sample;
        for (int64_t round : rounds) sample.push_back(ratios[size_t(round)]);
        return median(std::move(sample));
      });
  latency.ratio_low = interval.low;
  latency.ratio_high = interval.high;
  return latency;
}

// The extents asked for, by input name; "" in options.shapes stands for the first input.
std::map<std::string, Dims> wanted_shapes(const Graph& graph, const MeasureOptions& options) {
  std::map<std::string, Dims> shapes =
      options.data != nullptr ? options.data->latency_shapes : std::map<std::string, Dims>();
  // Models that share a description need not share their input's name.
  if (shapes.size() == 1 && graph.inputs.size() == 1)
    shapes = {{graph.at(graph.inputs[0]).name, shapes.begin()->second}};
  for (const auto& [name, dims] : options.shapes) {
    if (graph.inputs.empty()) break;
    const std::string wanted = name.empty() ? graph.at(graph.inputs[0]).name : name;
    const ValueId id = graph.find(wanted);
    if (std::find(graph.inputs.begin(), graph.inputs.end(), id) == graph.inputs.end())
      throw UsageError("--shape", "the model has no input '" + wanted + "'", "`pare inspect` shows the inputs");
    const auto& declared = graph.at(id).shape;
    bool fits = !declared || declared->size() == dims.size();
    for (size_t axis = 0; fits && declared && axis < dims.size(); ++axis)
      fits = !(*declared)[axis].known() || (*declared)[axis].value == dims[axis];
    if (!fits)
      throw UsageError("--shape", dims_text(dims) + " does not fit the input '" + wanted + "', which takes " +
                                      shape_text(*declared));
    shapes[wanted] = dims;
  }
  return shapes;
}

bool has_shapes(const Graph& graph, const std::vector<Array>& inputs, const std::map<std::string, Dims>& shapes) {
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const auto given = shapes.find(graph.at(graph.inputs[i]).name);
    if (given != shapes.end() && given->second != inputs[i].dims()) return false;
  }
  return true;
}

}  // namespace

std::vector<Latency> measure_latency(std::span<const TimedModel> models, const MeasureOptions& options) {
  std::vector<Timed> timed;
  for (const TimedModel& model : models) timed.push_back({model, 1, {}, {}});
  for (Timed& model : timed) {
    if (options.progress) options.progress("latency", 0, 0);
    if (!interrupted()) warm(model);
  }
  run_rounds(timed, options.seconds);
  std::vector<Latency> latencies;
  for (const Timed& model : timed) latencies.push_back(summarize(model, timed[0], options));
  return latencies;
}

void fill_latency(std::span<OpenModel> models, const MeasureOptions& options) {
  struct Opened {
    OpenModel* model;
    std::vector<Array> inputs;
    std::unique_ptr<Session> session;
  };
  std::vector<Opened> opened;
  for (OpenModel& model : models) {
    if (!model.row.error.empty() || interrupted()) continue;
    if (options.progress) options.progress("compiling " + model.path, double(opened.size()), double(models.size()));
    try {
      Opened one{&model, latency_inputs(model.graph, options), nullptr};
      std::vector<Dims> dims;
      for (const Array& input : one.inputs) dims.push_back(input.dims());
      SessionOptions session_options;
      session_options.threads = options.threads;
      one.session = std::make_unique<Session>(model.graph, dims, session_options);
      opened.push_back(std::move(one));
    } catch (const Error& error) {
      if (opened.empty()) throw;  // without the baseline there is no ratio
      model.row.error = error.what();
    }
  }
  std::vector<TimedModel> timed;
  for (const Opened& one : opened) timed.push_back({one.session.get(), &one.inputs});
  const auto start = Clock::now();
  const long before = preemptions();
  const std::vector<Latency> latencies = measure_latency(timed, options);
  const double per_second = double(preemptions() - before) / seconds_since(start);
  for (size_t i = 0; i < opened.size(); ++i) {
    if (latencies[i].runs == 0) continue;
    Row& row = opened[i].model->row;
    std::erase_if(row.notes, [](const std::string& note) { return note.starts_with(kBusyNote); });  // of an earlier run
    row.latency = latencies[i];
    if (i == 0 && per_second > kBusy)
      row.notes.push_back(
          fmt::format("{}: {:.0f} interruptions a second; absolute times are too long", kBusyNote, per_second));
    row.shapes.clear();
    for (size_t input = 0; input < opened[i].inputs.size(); ++input)
      row.shapes.push_back(opened[i].model->graph.at(opened[i].model->graph.inputs[input]).name + " " +
                           dims_text(opened[i].inputs[input].dims()));
  }
}

std::vector<Array> latency_inputs(const Graph& graph, const MeasureOptions& options) {
  const int64_t declared = declared_batch(graph);
  if (declared > 0 && declared != options.batch && options.batch != 1)
    throw Error(
        "model",
        "takes a batch of " + std::to_string(declared) + " only, --batch asks for " + std::to_string(options.batch),
        "leave --batch out, or export the model with a dynamic batch axis");
  const int64_t batch = declared > 0 ? declared : options.batch;
  const std::map<std::string, Dims> shapes = wanted_shapes(graph, options);
  const DataSet* data = options.data;
  if (data != nullptr && data->test && data->test->size() > 0) {
    std::vector<Array> inputs = gather_batch(graph, *data, *data->test, 0, batch);
    if (has_shapes(graph, inputs, shapes)) return inputs;
  }
  return random_inputs(graph, default_input_dims(graph, batch, shapes), options.seed);
}

std::string open_extents_note(const Graph& graph, const MeasureOptions& options) {
  if (options.data != nullptr) return "";
  const std::map<std::string, Dims> shapes = wanted_shapes(graph, options);
  const std::vector<Dims> assumed = default_input_dims(graph, std::max<int64_t>(1, declared_batch(graph)), shapes);
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Value& input = graph.at(graph.inputs[i]);
    if (!input.shape || shapes.count(input.name) != 0) continue;
    for (size_t axis = 1; axis < input.shape->size(); ++axis)
      if (!(*input.shape)[axis].known())
        return "the model leaves extents of '" + input.name + "' open (" + shape_text(*input.shape) + "): " +
               dims_text(assumed[i]) + " is assumed; say --shape " + input.name + "=…";
  }
  return "";
}

}  // namespace pare
