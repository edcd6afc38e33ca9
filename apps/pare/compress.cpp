#include "compress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <span>

#include "base/ranks.h"
#include "command.h"
#include "formats/adapter.h"
#include "formats/format.h"
#include "graph/adapters.h"
#include "measure/measure.h"
#include "output.h"
#include "report/figures.h"
#include "shapes.h"

namespace pare {
namespace {

nlohmann::json records_json(const PipelineResult& result) {
  nlohmann::json records = nlohmann::json::array();
  for (const PassRecord& record : result.passes)
    records.push_back({{"recipe", record.recipe},
                       {"seconds", record.seconds},
                       {"bytes_before", record.bytes_before},
                       {"bytes_after", record.bytes_after},
                       {"changed", record.changed},
                       {"notes", record.notes}});
  return records;
}

std::string records_text(const PipelineResult& result) {
  std::vector<std::vector<std::string>> lines;
  std::string notes;
  for (const PassRecord& record : result.passes) {
    lines.push_back({record.recipe.substr(0, record.recipe.find('{')), plural_text(record.changed, "change"),
                     size_text(double(record.bytes_before)) + " → " + size_text(double(record.bytes_after)),
                     seconds_text(record.seconds)});
    for (const std::string& note : record.notes) notes += "  " + note + "\n";
  }
  return aligned(lines, {1, 2, 3}) + notes;
}

struct Arguments {
  Compression compression;
  std::string data;
  std::vector<std::string> shapes;
  int64_t max_memory_mb = PipelineInputs{}.max_memory >> 20;
};

int run(const Arguments& arguments, const Shared& given) {
  const Shared shared = for_rank(given);
  Compression compression = arguments.compression;
  compression.seed = shared.seed;
  compression.shapes = parse_shapes(arguments.shapes);
  compression.progress = terminal_progress(shared);
  compression.max_memory = arguments.max_memory_mb << 20;
  check_output(compression.model, compression.output);
  if (compression.mapped && std::string(format_to_write(compression.output).extension) != ".pare")
    throw UsageError("--mapped", "is for .pare files, -o names " + compression.output,
                     "leave it out, or write a .pare file");
  canonical_recipe(compression.recipe);  // a mistake shows before any file is read
  std::optional<DataSet> data;
  if (!arguments.data.empty()) compression.data = &data.emplace(read_data_set(arguments.data));
  const CompressionResult result = compress_model(compression);
  if (!ranks().first()) return 0;
  const int64_t before = artifact_bytes(compression.model), after = artifact_bytes(compression.output);
  say(shared, records_text(result));
  say(shared, fmt::format("{}  {}\n{}  {} ({:.1f} % of the original)\n", compression.model, size_text(double(before)),
                          compression.output, size_text(double(after)),
                          100.0 * double(after) / double(std::max<int64_t>(before, 1))));
  const bool adapter = result.adapters && is_adapter_file(compression.output);
  if (adapter) say(shared, "it holds the adapters alone: MODEL+ADAPTER names both to every command\n");
  say(shared, fmt::format("\nnext: pare measure {} {}{}{}\n", compression.model, adapter ? compression.model + "+" : "",
                          compression.output, arguments.data.empty() ? "" : " --data " + arguments.data));
  give_json(shared, {{"model", compression.model},
                     {"output", compression.output},
                     {"recipe", result.recipe},
                     {"size_bytes_before", before},
                     {"size_bytes", after},
                     {"passes", records_json(result)}});
  return 0;
}

std::function<int()> declare(CLI::App& app, const Shared& shared) {
  const auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->compression.model, "the model to compress")->required();
  app.add_option(
         "--recipe", arguments->compression.recipe,
         "passes, separated by commas, options in braces: `pare passes` lists them; without one the model is only "
         "written in the format of the output")
      ->type_name("RECIPE");
  app.add_option("--data", arguments->data,
                 "data description (TOML); its calibration split is used where a pass needs data")
      ->type_name("FILE");
  app.add_option("--shape", arguments->shapes,
                 "extents to prune channels and layers at where the model leaves them open and there is no --data: "
                 "NAME=1x3x48x320, or "
                 "1x3x48x320 for the first input")
      ->type_name("SHAPE")
      ->allow_extra_args(false);
  app.add_option("-o,--output", arguments->compression.output, "the artifact to write; the ending decides the format")
      ->required()
      ->type_name("FILE");
  app.add_option("--max-memory", arguments->max_memory_mb,
                 "passes that go through a model layer by layer keep at most so much of the calibration data's values: "
                 "fewer samples where it is not enough")
      ->type_name("MB")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24))
      ->capture_default_str();
  app.add_flag("--mapped", arguments->compression.mapped,
               "a .pare file with weights as they are in memory: larger, but read without decoding or copying");
  return [=, &shared] { return run(*arguments, shared); };
}

}  // namespace

SampleSource calibration_source(const Graph& graph, const DataSet* data) {
  if (data == nullptr || data->calibration == nullptr) return {};
  // A copy, since passes change the graph they are given; weights are shared.
  const auto original = std::make_shared<Graph>(graph);
  // Samples of one length side by side: a plan is compiled once for each.
  std::vector<int64_t> order(static_cast<size_t>(data->calibration->size()));
  std::iota(order.begin(), order.end(), int64_t(0));
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return data->calibration->length(a) < data->calibration->length(b); });
  // Models exported for a fixed batch see as many samples at a time.
  const int64_t batch = std::max<int64_t>(declared_batch(graph), 1);
  return {(int64_t(order.size()) + batch - 1) / batch, [original, data, order, batch](int64_t i) {
            const auto all = std::span(order).subspan(size_t(i * batch));
            return gather_samples(*original, *data, *data->calibration, all.first(std::min(all.size(), size_t(batch))),
                                  batch);
          }};
}

namespace {

// A text with the token that follows each of its tokens; what an instruction tells is not asked for.
TrainingBatch text_to_learn(const Graph& graph, const DataSet& data, int64_t index) {
  const Sample sample = data.training->get(index);
  TrainingBatch batch{model_inputs(graph, data, sample), {}};
  for (const Array& input : batch.inputs)
    if (batch.labels.empty() && is_integer(input.type())) batch.labels = input.to_integers();
  if (batch.labels.empty()) throw Error(data.path, "the model takes no token ids");
  // Filled up behind its end, where nothing is asked.
  const auto length = std::min(size_t(data.training->length(index)), batch.labels.size());
  batch.labels.erase(batch.labels.begin());
  batch.labels.push_back(-1);
  for (size_t t = 0; t < batch.labels.size(); ++t)
    if (t + 1 >= length || int64_t(t) + 1 < sample.given) batch.labels[t] = -1;
  return batch;
}

}  // namespace

TrainingSource training_source(const Graph& graph, const DataSet* data) {
  if (data == nullptr || data->training == nullptr) return {};
  const auto original = std::make_shared<Graph>(graph);
  TrainingSource source;
  source.count = data->training->size();
  if (data->task == "language") {
    source.tokens = true;
    source.batch = [original, data](std::span<const int64_t> samples) {
      PARE_CHECK(samples.size() == 1);
      return text_to_learn(*original, *data, samples[0]);
    };
    return source;
  }
  // Texts differ in length: those of one batch should not.
  if (data->training->length(0) > 0) source.length = [data](int64_t i) { return data->training->length(i); };
  source.batch = [original, data](std::span<const int64_t> samples) {
    TrainingBatch batch;
    batch.inputs = gather_samples(*original, *data, *data->training, samples, int64_t(samples.size()), &batch.labels);
    return batch;
  };
  return source;
}

// By name of the input.
static std::map<std::string, Dims> input_shapes(const Graph& graph, const std::map<std::string, Dims>& given) {
  std::map<std::string, Dims> shapes;
  for (const auto& [name, dims] : given) {
    const std::string wanted = name.empty() && !graph.inputs.empty() ? graph.at(graph.inputs[0]).name : name;
    const ValueId id = graph.find(wanted);
    if (std::find(graph.inputs.begin(), graph.inputs.end(), id) == graph.inputs.end())
      throw UsageError("--shape", "the model has no input '" + wanted + "'", "`pare inspect` shows the inputs");
    shapes[wanted] = dims;
  }
  return shapes;
}

void check_output(const std::string& model, const std::string& output) {
  std::error_code ignored;
  if (std::filesystem::equivalent(model, output, ignored))
    throw UsageError(output, "is the model itself, which is never overwritten", "choose another name for -o");
  format_to_write(output);
  // Hours of work must not end at a folder that is not there.
  const std::filesystem::path parent = std::filesystem::path(output).parent_path(),
                              folder = parent.empty() ? "." : parent;
  if (!std::filesystem::is_directory(folder, ignored))
    throw Error(output, "cannot be written: there is no folder " + folder.string(),
                "make it first, or choose another place");
  if (access(folder.c_str(), W_OK) != 0)
    throw Error(output, std::string("cannot be written: ") + std::strerror(errno), "choose another place for -o");
}

CompressionResult compress_model(const Compression& compression) {
  if (compression.progress) compression.progress("reading " + compression.model, 0, 0);
  Graph graph = read_model(compression.model);
  PipelineInputs inputs;
  inputs.calibration = calibration_source(graph, compression.data);
  inputs.seed = compression.seed;
  inputs.progress = compression.progress;
  inputs.max_memory = compression.max_memory;
  inputs.training = training_source(graph, compression.data);
  inputs.checkpoint = compression.output + ".training";
  inputs.load = [](const std::string& path) { return read_model(path); };
  inputs.shapes = input_shapes(graph, compression.shapes);
  CompressionResult result{run_recipe(graph, compression.recipe, inputs)};
  result.adapters = has_adapters(graph);
  std::string& recipe = graph.metadata["pare.recipe"];
  if (!result.recipe.empty()) recipe += (recipe.empty() ? "" : ", ") + result.recipe;
  WriteOptions options;
  options.mapped = compression.mapped;
  // Processes that trained together all have the same model.
  if (ranks().first()) write_model(graph, compression.output, options);
  // What was stopped can be continued; what is complete has no use for its checkpoints.
  std::error_code ignored;
  for (size_t i = 0; i < result.passes.size() && !result.stopped && ranks().first(); ++i)
    std::filesystem::remove(inputs.checkpoint + "." + std::to_string(i + 1), ignored);
  return result;
}

extern const Command command_compress;
const Command command_compress = {"compress", "Runs a recipe of passes on a model and writes the smaller model.",
                                  "pare compress model.onnx --recipe 'fold-batchnorm, "
                                  "quantize-static{calibration=mse}' --data data.toml -o small.onnx",
                                  declare};

}  // namespace pare
